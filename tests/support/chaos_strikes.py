"""Kills: which process, at which step or moment, and how it is hit exactly there."""

from __future__ import annotations

import json
import random
import time
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
ROLLING = (*REFRESH_STEPS, *REBINDING_STEPS, *GRANT_STEPS, *WORK_STEPS)
BARRIER = (*REFRESH_STEPS, *BARRIER_STEPS, *REBINDING_STEPS)
EDGES = ("before", "after")
UNANSWERED = "unanswered"
"""The database is killed when it has done what it was told, and has not said so yet."""
AT_RANDOM = "at random"

PATIENCE_SECONDS = 15.0
"""How long a step is waited for that may not come, because an earlier kill took the refresh another way."""


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
    """A commit, or some in a burst, what they change, how they go live, and what is killed meanwhile."""

    drivers: tuple[str, ...]
    barrier: bool
    strikes: list[Strike] = field(default_factory=list)
    commits: int = 1


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


def plan(rng: random.Random, kills: int, kinds: tuple[str, ...] = KINDS) -> list[Round]:
    """Rounds with so many strikes in all, that go through every kind at every step of both cutovers in random order."""
    rolling = _all_strikes(rng, kinds, ROLLING)
    barrier = _all_strikes(rng, kinds, BARRIER)
    rounds: list[Round] = []
    left = kills
    while left > 0:
        is_barrier = rng.random() < 0.35
        pile = barrier if is_barrier else rolling
        if not pile:
            pile.extend(_all_strikes(rng, kinds, BARRIER if is_barrier else ROLLING))
        strikes = [pile.pop()]
        strikes += [
            Strike(rng.choice(kinds), delay=rng.random()) for _ in range(min(left - 1, rng.choice((0, 0, 1, 2))))
        ]
        drivers = tuple(
            name for name in ("station", "pair") if strikes[0].step in REBINDING_STEPS or rng.random() < 0.6
        )
        rounds.append(Round(drivers, is_barrier, strikes, commits=1 if is_barrier else rng.choice((1, 1, 1, 3))))
        left -= len(strikes)
    return rounds


def brief_plan(rng: random.Random, kills: int) -> list[Round]:
    """The same in few rounds: each kind of process in turn, one of four at a step; one round in three is a barrier."""
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    rng.shuffle(kinds)
    rounds = []
    for number, first in enumerate(range(0, kills, 4)):
        is_barrier = number % 3 == 2
        step = rng.choice((REFRESH_STEPS, REBINDING_STEPS, BARRIER_STEPS)[number % 3])
        strikes = [Strike(kinds[first], step, rng.choice(_edges(kinds[first])))]
        strikes += [Strike(kind, delay=rng.random() / 2) for kind in kinds[first + 1 : first + 4]]
        rounds.append(Round(("station", "pair"), is_barrier, strikes))
    return rounds


def _all_strikes(rng: random.Random, kinds: tuple[str, ...], steps: tuple[str, ...]) -> list[Strike]:
    strikes = [Strike(kind, step, edge) for kind in kinds for step in steps for edge in _edges(kind)]
    rng.shuffle(strikes)
    return strikes


def _edges(kind: str) -> tuple[str, ...]:
    return (*EDGES, UNANSWERED) if kind == "database" else EDGES
