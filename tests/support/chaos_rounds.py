"""A laboratory at work while its processes are killed, round by round, and looked over after each."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chaos_checks import GHOST, OPEN_REQUESTS, Evidence, unfinished, violations
from chaos_lab import DEVICES, ChaosLaboratory
from chaos_order import Order
from chaos_strikes import AT_RANDOM, Round, Strike, Striker
from pymongo.errors import PyMongoError

from hotswap.errors import HotswapError, RemoteError
from hotswap.generations import Generations
from hotswap.wire import Client, WireError
from lab.client import ClientError
from lab.managers.barrier_gate import active
from lab.records import Device, DeviceState, RequestStatus, TaskStatus

SETTLE_SECONDS = 90.0
_POLL_SECONDS = 0.05

_T = TypeVar("_T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Load:
    """How many tasks a round has: with devices, submitted before the commit and after it, and without."""

    before: int = 4
    after: int = 2
    blinks: int = 8


class ChaosError(AssertionError):
    """Something that must hold did not."""


class Operator(threading.Thread):
    """Decides about LOST tasks as a person would, by chance; counts what was decided."""

    def __init__(self, lab: ChaosLaboratory, rng: random.Random) -> None:
        super().__init__(name="operator", daemon=True)
        self._lab = lab
        self._rng = rng
        self._ended = threading.Event()
        self.retried: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            try:
                self._decide()
            except (PyMongoError, HotswapError, OSError) as error:
                log.debug("The operator waits: %s", error)

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _decide(self) -> None:
        for task in self._lab.records.tasks.find({"status": TaskStatus.LOST, "parent": None}, {"_id": 1}):
            if self._rng.random() < 0.6:
                self.retried[task["_id"]] += 1  # before: whether it took effect may never be told
                self._lab.client.retry(task["_id"])
                self.decisions["retry"] += 1
            else:
                self._lab.client.cancel(task["_id"])
                self.decisions["abort"] += 1


class Chaos:
    """One launched laboratory under attack; ``say`` is told what happens."""

    def __init__(self, lab: ChaosLaboratory, rng: random.Random, say: Callable[[str], None], load: Load) -> None:
        self.lab = lab
        self._rng = rng
        self._load = load
        self._say = say
        self.striker = Striker(lab, rng)
        self.operator = Operator(lab, random.Random(rng.random()))
        self.order = Order(lab)
        self.releases = 0
        self.ghosts = 0
        self.submitted: set[str] = set()
        self._wanted = next(iter(lab.versions))

    def __enter__(self) -> Chaos:
        self.operator.start()
        self.order.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.order.end()
        self.operator.end()

    def play(self, play: Round) -> None:
        """One round, to the point where the laboratory is at rest again. Raises ChaosError."""
        commits = f", {play.commits} commits" if play.commits > 1 else ""
        what = ", ".join(play.drivers) or "only tasks"
        self._say(f"{play.way} cutover, {what} changed{commits}; kill {', then '.join(map(str, play.strikes))}")
        self._work(self._load.before)
        self.striker.prepare(play.strikes[0])
        self._change(play)
        self._work(self._load.after, blinks=self._load.blinks)
        for number, strike in enumerate(play.strikes):
            if number:
                self.striker.prepare(strike)
            if not self._strike(strike):
                play.failed.append(strike)
        self._haunt()
        try:
            self._settle(play)
        except ChaosError as error:  # what is wrong may also be why it does not come to rest
            raise ChaosError("\n".join([*self._violations(), str(error)])) from error
        if found := self._violations():
            raise ChaosError("\n".join(found))

    def _strike(self, strike: Strike) -> bool:
        """Whether it hit what was meant, where it was meant."""
        killed = self.striker.strike(strike)
        if killed is not None and killed.kind == "managers":
            self.order.excuse(killed.at)
        if killed is not None and killed.kind == "supervisor":
            self._eventually(self._relaunch, "the supervisor is launched")
        return killed is not None and (killed.step != AT_RANDOM or strike.step is None)

    # -- work --------------------------------------------------------------------------------------------------------

    def _work(self, works: int, blinks: int = 0) -> None:
        for _ in range(works):
            count = self._rng.choice((1, 2, 2, 3))
            devices = [name for name in DEVICES if name in self._rng.sample(DEVICES, count)]
            pace = self._rng.choice((0.0, 0.02, 0.05))
            self._submit("Work", devices=devices, times=self._rng.choice((1, 2, 3)), pace=pace)
        for _ in range(blinks):
            self._submit("Blink")

    def _submit(self, kind: str, **parameters: Any) -> str:
        """Returns the experiment; one whose answer got lost may have been stored all the same."""
        given = {"folder": str(self.lab.logs), **parameters}
        samples = ["sample"] if kind == "Work" else []
        document = {
            "name": "chaos",
            "samples": [{"name": name} for name in samples],
            "tasks": [{"type": kind, "parameters": given, "samples": samples}],
        }
        experiment = self._eventually(lambda: self.lab.client.submit(document), "an experiment is taken")
        self.submitted.add(experiment)
        return experiment

    def _change(self, play: Round) -> None:
        if play.barrier:
            self._wanted = self.lab.propose_version(self.lab.next_version(*play.drivers))
            self._eventually(self._ask_for_barrier, "a barrier is asked for")
            return
        for _ in range(play.commits):
            self._wanted = self.lab.commit_version(self.lab.next_version(*play.drivers))

    def _ask_for_barrier(self) -> bool:
        return bool(self.lab.client.refresh(self._wanted, barrier=True, wait=False))

    def _haunt(self) -> None:
        """Call devices with fences that are over, as a worker would that was thought dead and comes back."""

        def grants() -> list[dict[str, Any]]:
            over = {"status": RequestStatus.RELEASED, "grant": {"$ne": None}}
            found = self.lab.records.requests.find(over, {"grant": 1}, sort=[("_id", -1)]).limit(10)
            return [dict(each) for request in found for each in (request["grant"] or {"devices": []})["devices"]]

        bindings = {device["_id"]: device["binding"] for device in self._eventually(self._devices, "devices are told")}
        for grant in self._eventually(grants, "old grants are told"):
            binding = bindings[grant["device"]]
            if binding is not None:
                self._call_as_ghost(tuple(binding["address"]), grant["device"], grant["fence"])

    def _call_as_ghost(self, address: Any, device: str, fence: int) -> None:
        about = {"task": GHOST, "run": GHOST, "block": GHOST, "step": GHOST}
        try:
            with Client(address, self.lab.token, timeout=5.0) as client:
                client.call(
                    "call", device=device, fence=fence, task=GHOST, attempt=1, method="act", args=[], kwargs=about
                )
        except (RemoteError, WireError, OSError) as error:
            self.ghosts += 1
            log.debug("The ghost was refused: %s", error)

    # -- coming to rest ----------------------------------------------------------------------------------------------

    def _settle(self, play: Round) -> None:
        self._eventually(lambda: self._goes_live(play), f"{self.lab.versions[self._wanted]} is live")
        if play.barrier:
            self.lab.adopt(self._wanted)
        self._eventually(lambda: not unfinished(self.lab.records), "all work has ended")
        proof = self._submit("Work", devices=list(DEVICES), times=1, pace=0.0)
        self._eventually(lambda: self.lab.client.experiment(proof)["status"] == "COMPLETED", "new work completes")
        task = self._eventually(lambda: self.lab.client.experiment(proof), "its task is told")["tasks"][0]
        if self.lab.versions[task["pin"]["commit"]] != self.lab.versions[self._wanted]:
            raise ChaosError(f"The proof ran {task['pin']}, not {self._wanted}.")
        self._eventually(self._at_rest, "all devices and requests are at rest")

    def _goes_live(self, play: Round) -> bool:
        self._stay_launched()
        records = self.lab.records
        current = Generations(records.database).current()
        if current is not None and current.commit == self._wanted:
            return records.refreshes.find_one({"outcome": None}) is None
        if play.barrier and records.refreshes.find_one({"outcome": None}) is None and not active(records.database):
            self._ask_for_barrier()  # what was interrupted is asked for again by people
        return False

    def _at_rest(self) -> bool:
        self._stay_launched()
        records = self.lab.records
        if records.refreshes.find_one({"outcome": None}) or active(records.database):
            return False
        if records.requests.find_one({"status": {"$in": OPEN_REQUESTS}}):
            return False  # a task ends before what it had is taken back
        current = Generations(records.database).current()
        if current is None or current.commit != self._wanted:
            return False
        wanted = self.lab.definitions().drivers
        devices = [self._is_at_rest(device, wanted) for device in self._devices()]  # all of them are looked at
        return all(devices)

    def _is_at_rest(self, device: Device, wanted: dict[str, str]) -> bool:
        binding = device["binding"]
        if device["state"] == DeviceState.FREE and binding is not None and binding["digest"] == wanted[device["_id"]]:
            return True
        if device["state"] == DeviceState.ERROR or device.get("failed_digest"):
            self.lab.client.release(device["_id"])  # its driver was killed again and again
            self.releases += 1
        return False

    def _devices(self) -> list[Device]:
        return list(self.lab.records.devices.find())

    def _violations(self) -> list[str]:
        evidence = self._eventually(self._evidence, "the database tells")
        found = violations(evidence) + self.order.violations()
        if missing := self.submitted - {task["experiment"] for task in evidence.tasks.values()}:
            found.append(f"experiments {sorted(missing)} are lost")
        return found

    def _evidence(self) -> Evidence:
        return Evidence(self.lab, self.striker.killed, self.operator.retried)

    def _stay_launched(self) -> None:
        if not self.striker.alive("supervisor"):
            self._relaunch()

    def _relaunch(self) -> bool:
        self.lab.cli("launch", "--detach")
        return True

    def _eventually(self, ask: Callable[[], _T], what: str) -> _T:
        """The first answer that is true, whatever is dead meanwhile. Raises ChaosError when none comes."""
        deadline = time.monotonic() + SETTLE_SECONDS
        reason: object = "it is not so"
        while time.monotonic() < deadline:
            try:
                if answer := ask():
                    return answer
                reason = "it is not so"
            except ClientError as error:
                if error.status not in (0, 500, 503, 409):
                    raise
                reason = error
            except (PyMongoError, HotswapError, OSError, KeyError, ValueError, AssertionError) as error:
                reason = error
            time.sleep(_POLL_SECONDS)
        raise ChaosError(f"Not within {SETTLE_SECONDS:g} s: {what} ({reason}); {self._situation()}")

    def _situation(self) -> str:
        try:
            records = self.lab.records
            tasks = list(records.tasks.find({"status": {"$nin": ["COMPLETED", "CANCELLED", "ERROR"]}}))
            requests = list(records.requests.find({"status": {"$in": OPEN_REQUESTS}}))
            refreshes = list(records.refreshes.find({"outcome": None}, {"plan": 0, "settings": 0}))
            devices = list(records.devices.find())
        except PyMongoError as error:
            return f"the database does not answer: {error}"
        barrier = active(records.database)
        shown = {"tasks": tasks, "requests": requests, "refreshes": refreshes, "devices": devices, "barrier": barrier}
        return "\n".join(f"{name}: {each}" for name, each in shown.items())


def attack(
    folder: Path,
    rng: random.Random,
    rounds: Iterable[Round],
    kills: int,
    say: Callable[[str], None],
    load: Load = Load(),
) -> Chaos:
    """Launch a laboratory below an empty folder, play rounds until so many kills are done, and end it.

    Raises ChaosError.
    """
    lab = ChaosLaboratory(folder / "my_lab", folder / "state")
    lab.create("\n[refresh]\nbarrier_timeout = 30.0\n")
    try:
        lab.launch()
        with Chaos(lab, rng, say, load) as chaos:
            for play in rounds:
                began = time.monotonic()
                chaos.play(play)
                say(f"  well after {time.monotonic() - began:.1f} s, {len(chaos.striker.killed)} kills")
                if len(chaos.striker.killed) >= kills:
                    break
        return chaos
    finally:
        lab.end()
