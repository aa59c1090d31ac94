"""Kills: which process, at which step or moment, and how it is hit exactly there."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

from chaos_lab import ChaosLaboratory

from hotswap.cutover import Step
from hotswap.process import Identity
from lab.managers.barrier_gate import BarrierStep
from lab.records import HandOverStep

KINDS = ("database", "broker", "managers", "zygote", "template", "driver", "worker", "supervisor")

REFRESH_STEPS = (
    *(f"refresh:{step}" for step in Step if step is not Step.PROMOTED),
    "refresh:current",
    "refresh:promoted",
)
REBINDING_STEPS = (*(f"rebinding:{step}" for step in HandOverStep if step is not HandOverStep.APART), "rebinding:bound")
BARRIER_STEPS = (*(f"barrier:{step}" for step in BarrierStep), "rebinding:apart")
GRANT_STEPS = tuple(f"grant:{step}" for step in ("taken", "fulfilled", "given_back", "released"))
WORK_STEPS = tuple(f"work:{step}" for step in ("initiated", "running", "moved", "completed"))
STEPS = {
    "rolling": (*REFRESH_STEPS, *REBINDING_STEPS, *GRANT_STEPS, *WORK_STEPS),
    "barrier": (*REFRESH_STEPS, *BARRIER_STEPS, *REBINDING_STEPS),
}
"""Of both cutovers, as they follow each other."""
ENDING_REFRESHES = ("database", "managers", "supervisor")
"""With one of these a refresh that is under way may end; a barrier is then asked for again when the round settles."""
EDGES = ("before", "after")
UNANSWERED = "unanswered"
"""The database is killed when it has done what it was told, and has not said so yet."""
AT_RANDOM = "at random"

PATIENCE_SECONDS = 15.0
"""How long a step is waited for that may not come, because an earlier kill took the refresh another way."""

TRIES = 3
"""How often a process is struck at a step until there was such a process and the step came."""


@dataclass(frozen=True)
class Strike:
    """Kill ``kind`` when ``step`` is about to be written down, or was; ``step`` None: after ``delay`` seconds."""

    kind: str
    step: str | None = None
    edge: str = "after"
    delay: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.edge} {self.step}" if self.step else f"{self.kind} after {self.delay:.2f} s"


@dataclass
class Round:
    """A commit, or some in a burst, what they change, how they go live, and what is killed meanwhile.

    ``failed`` are the strikes at a step for which the step did not come, or that found no such process.
    """

    drivers: tuple[str, ...]
    barrier: bool
    strikes: list[Strike] = field(default_factory=list)
    commits: int = 1
    failed: list[Strike] = field(default_factory=list)

    @property
    def way(self) -> str:
        return "barrier" if self.barrier else "rolling"


@dataclass(frozen=True)
class Killed:
    """What was killed, where; ``name`` and ``instance`` tell version processes apart."""

    kind: str
    step: str
    pid: int
    name: str
    instance: str
    at: float


class Striker:
    """Carries out strikes, and remembers them."""

    def __init__(self, lab: ChaosLaboratory, rng: random.Random) -> None:
        self._lab = lab
        self._rng = rng
        self.killed: list[Killed] = []
        self.missed: list[Strike] = []

    def prepare(self, strike: Strike) -> None:
        """Have the managers stop where the strike is to happen."""
        if strike.step is not None:
            unfinished = self._lab.trap / "unfinished"
            unfinished.write_text(json.dumps({"step": strike.step, "edge": strike.edge}))
            unfinished.rename(self._lab.trap / "armed")

    def strike(self, strike: Strike) -> Killed | None:
        """Kill; None when there was no such process. A step that does not come leaves the strike to chance."""
        if strike.step is None:
            time.sleep(strike.delay)
            return self._kill(strike.kind, AT_RANDOM)
        if not self._sprung():
            self.missed.append(strike)
            return self._kill(strike.kind, AT_RANDOM)
        try:
            return self._kill(strike.kind, f"{strike.edge} {strike.step}")
        finally:
            (self._lab.trap / "sprung").unlink(missing_ok=True)

    def alive(self, kind: str) -> list[tuple[Identity, str, str]]:
        """The living processes of a kind: identity, name and instance."""
        if kind in ("database", "broker", "managers", "supervisor"):
            try:
                identity = self._lab.identity(kind)
            except (FileNotFoundError, KeyError, ValueError):  # it is just being started
                return []
            return [(identity, kind, "")] if identity.alive() else []
        found = []
        for run in self._lab.runs():
            identity = Identity.from_dict(run["identity"])
            if (run["name"].startswith(f"{kind}-") or run["kind"] == kind) and identity.alive():
                found.append((identity, run["name"], run["instance"]))
        return sorted(found, key=lambda each: each[1])

    def _sprung(self) -> bool:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self._lab.trap / "sprung").exists():
            if time.monotonic() > deadline:
                (self._lab.trap / "armed").unlink(missing_ok=True)
                return (self._lab.trap / "sprung").exists()
            time.sleep(0.002)
        return True

    def _kill(self, kind: str, step: str) -> Killed | None:
        alive = self.alive(kind)
        if not alive:
            return None
        identity, name, instance = self._rng.choice(alive)
        if not identity.kill():
            return None
        assert identity.wait(10.0), f"{name} does not die"
        killed = Killed(kind, step, identity.pid, name, instance, time.time())
        self.killed.append(killed)
        return killed


class Plan:
    """Strikes every kind of process at every step of both cutovers, in random order, then all of them again.

    ``struck`` counts what was struck, by way, step and kind; ``left`` what is still to be.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._piles: dict[str, list[Strike]] = {"rolling": [], "barrier": []}
        self._tries: Counter[tuple[str, str, str]] = Counter()
        self.struck: Counter[tuple[str, str, str]] = Counter()
        self._fill()

    @property
    def left(self) -> int:
        return sum(map(len, self._piles.values()))

    def rounds(self) -> Generator[Round]:
        """Without end. What a round tells that it did not strike comes again, a few times."""
        while True:
            if not self.left:
                self._fill()
            play = self._next()
            try:
                yield play
            finally:  # also after the last one
                for strike in play.strikes:
                    self._note(play, strike)

    def never_struck(self) -> list[str]:
        """What could not be struck: a kind that has no process at that step, or a step that does not come."""
        tried = [each for each in self._tries if not self.struck[each]]
        return sorted(f"{kind} at {step}, {way}" for way, step, kind in tried)

    def _next(self) -> Round:
        sizes = {way: len(pile) for way, pile in self._piles.items()}
        (way,) = self._rng.choices(list(sizes), weights=list(sizes.values()))
        strikes = [self._piles[way].pop()]
        second = self._later(way, strikes[0])
        if second is not None and self._rng.random() < 0.6:
            self._piles[way].remove(second)
            strikes.append(second)
        elif self._rng.random() < 0.3:
            strikes.append(Strike(self._rng.choice(KINDS), delay=self._rng.random()))
        needed = any(strike.step in REBINDING_STEPS for strike in strikes)
        drivers = tuple(name for name in ("station", "pair") if needed or self._rng.random() < 0.6)
        commits = 1 if way == "barrier" else self._rng.choice((1, 1, 1, 3))
        return Round(drivers, way == "barrier", strikes, commits)

    def _later(self, way: str, first: Strike) -> Strike | None:
        """One at a later step of the refresh; it comes only if the refresh goes on after the first."""
        order = STEPS[way]
        if first.kind in ENDING_REFRESHES or first.step not in order:
            return None
        later = order[order.index(first.step) + 1 :]
        return next((strike for strike in reversed(self._piles[way]) if strike.step in later), None)

    def _note(self, play: Round, strike: Strike) -> None:
        if strike.step is None:
            return
        about = (play.way, strike.step, strike.kind)
        self._tries[about] += 1
        if strike not in play.failed:
            self.struck[about] += 1
        elif self._tries[about] < TRIES:
            self._piles[play.way].insert(0, strike)

    def _fill(self) -> None:
        for way, pile in self._piles.items():
            pile += [Strike(kind, step, self._rng.choice(_edges(kind))) for kind in KINDS for step in STEPS[way]]
            self._rng.shuffle(pile)


def brief_plan(rng: random.Random, kills: int) -> list[Round]:
    """The same in few rounds: each kind of process in turn, one of four at a step; one round in three is a barrier."""
    kinds = [kind for _ in range(0, kills, len(KINDS)) for kind in rng.sample(KINDS, len(KINDS))]
    rounds = []
    for number, first in enumerate(range(0, len(kinds), 4)):
        is_barrier = number % 3 == 2
        step = rng.choice((REFRESH_STEPS, REBINDING_STEPS, BARRIER_STEPS)[number % 3])
        strikes = [Strike(kinds[first], step, rng.choice(_edges(kinds[first])))]
        strikes += [Strike(kind, delay=rng.random() / 2) for kind in kinds[first + 1 : first + 4]]
        rounds.append(Round(("station", "pair"), is_barrier, strikes))
    return rounds


def _edges(kind: str) -> tuple[str, ...]:
    return (*EDGES, UNANSWERED) if kind == "database" else EDGES
