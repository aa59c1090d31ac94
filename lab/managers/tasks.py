"""Dispatch: a READY task is pinned to the current snapshot and sent to its workers, into free capacity only.

The message is a hint. What counts is the INITIATED document, which a worker of the pinned snapshot claims; what is not
claimed within seconds is sent again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from hotswap.errors import HotswapError
from hotswap.routing import RoutingError
from lab.catalog import Catalog
from lab.managers._barrier_blockers import holders
from lab.managers.barrier_gate import Gate, gate_of
from lab.managers.binding import ExperimentPins
from lab.managers.bus import Bus, Manager
from lab.managers.examination import Examiner
from lab.parameters import complaint, sentence
from lab.records import CLAIMED, ENDED, UNDECIDED, Examined, ExperimentStatus, Pin, Records, Task, TaskStatus, now

RESEND_SECONDS: Final = 5.0
_FIELDS: Final = (
    *("status", "type", "parameters", "samples", "experiment", "priority", "ready_at"),
    *("pin", "attempt", "claim", "examined"),
)
_AT_WORK: Final = (TaskStatus.INITIATED, *CLAIMED)
_INITIATED: Final = {"status": TaskStatus.INITIATED}

Send = Callable[[str, str, int], None]
Current = Callable[[], Pin | None]
StartAlone = Callable[[str, str, int], object]

log = logging.getLogger(__name__)


class TaskManager(Manager):
    """``current`` reads the generation new tasks bind to; ``send`` takes (queue, task, attempt).

    ``start_alone`` takes (snapshot, task, attempt) of a task that is to have a process for itself. With ``experiments``
    all tasks of an experiment have one pin.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bus: Bus,
        current: Current,
        send: Send,
        examiner: Examiner | None = None,
        experiments: ExperimentPins | None = None,
        start_alone: StartAlone = lambda _snapshot, _task, _attempt: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("task manager")
        self._records = records
        self._catalog = catalog
        self._current = current
        self._send = send
        self._examiner = examiner
        self._experiments = experiments
        self._start_alone = start_alone
        self._clock = clock
        self._due: dict[tuple[str, int], float] = {}
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.READY, *UNDECIDED, *ENDED}})
        bus.subscribe("experiments", self.wake, {"status": {ExperimentStatus.RUNNING}})
        bus.subscribe("workers", self.wake, {"capacity"})
        bus.subscribe("current_generation", self.wake)
        bus.subscribe("barriers", self.wake, {"step", "outcome"})

    def reconcile(self) -> float | None:
        self._dispatch()
        return self._resend()

    def _dispatch(self) -> None:
        ready = self._ready()
        if not ready:
            return
        if (current := self._current()) is not None:
            self._examine(ready, current["snapshot"])
        capacity = _Capacity(self._records)
        for task in self._launchable(ready):
            self._place(task, capacity)

    def _launchable(self, ready: list[Task]) -> list[Task]:
        gate = self._gate()
        if gate.launching:
            return ready
        holding = holders(self._records)
        return [task for task in ready if gate.may_launch(task["_id"], holding)]

    def _gate(self) -> Gate:
        return gate_of(self._records.database)

    def _ready(self) -> list[Task]:
        """READY tasks of running experiments, the urgent and the old first."""
        tasks = list(self._records.tasks.find({"status": TaskStatus.READY, "parent": None}, dict.fromkeys(_FIELDS, 1)))
        query = {"_id": {"$in": sorted({task["experiment"] for task in tasks})}, "status": ExperimentStatus.RUNNING}
        running = {each["_id"] for each in self._records.experiments.find(query, {"_id": 1})} if tasks else set()
        return sorted(
            (task for task in tasks if task["experiment"] in running),
            key=lambda task: (-task["priority"], task["ready_at"], task["_id"]),
        )

    def _place(self, task: Task, capacity: _Capacity) -> None:
        while (pin := self._pin_of(task) or self._current()) is not None:
            unfit = self._unfit(task, pin)
            if unfit is not None:
                self._park(task, unfit)
                return
            queue = capacity.queue(pin["snapshot"])
            if queue is None:
                return
            self._bind(task, pin)
            if not self._initiate(task, pin):
                self.wake()  # somebody moved it to other code, or ended it
                return
            if self._is_barred(task["_id"]) and self._take_back(task):
                return
            if task["pin"] is None and self._moved_from(pin) and self._take_back(task):
                continue
            capacity.take(pin["snapshot"])
            self._tell(task, pin, task["attempt"] + 1, queue)
            return

    def _pin_of(self, task: Task) -> Pin | None:
        """What the task is bound to already, also by way of its experiment."""
        if task["pin"] is None and self._experiments is not None:
            return self._experiments.of(task["experiment"])
        return task["pin"]

    def _bind(self, task: Task, pin: Pin) -> None:
        """The first task that is dispatched binds its experiment."""
        if task["pin"] is None and self._experiments is not None:
            task["pin"] = self._experiments.bind(task["experiment"], pin)

    def _unfit(self, task: Task, pin: Pin) -> str | None:
        """Why the snapshot's code cannot run the task, or None: it was checked, but against an earlier generation."""
        version = f"Code version {pin['snapshot'][:12]}"
        try:
            known = self._catalog.get(pin["snapshot"]).tasks.get(task["type"])
        except KeyError:
            return f"{version} was never described."
        if known is None:
            return f"{version} has no task type {task['type']!r}."
        wrong = complaint(known["schema"], task["parameters"]) or self._objection(task, pin["snapshot"])
        return None if wrong is None else sentence(f"{version} does not take its parameters: {wrong}")

    def _objection(self, task: Task, snapshot: str) -> str | None:
        """What came of constructing the task with that code, now if nobody did it before."""
        examined = task.get("examined")
        if examined is None or examined["snapshot"] != snapshot:
            self._examine([task], snapshot)
            examined = task.get("examined")
        return examined["reason"] if examined is not None and examined["snapshot"] == snapshot else None

    def _examine(self, tasks: list[Task], snapshot: str) -> None:
        """Have those constructed that nobody constructed with this code yet, all in one fork."""
        new = [task for task in tasks if task["pin"] is None and _examined_with(task) != snapshot]
        if self._examiner is None or not new:
            return
        try:
            objections = self._examiner.objections(snapshot, new)
        except HotswapError as error:  # their worker validates them again
            log.warning("%d tasks are not examined before they are sent: %s", len(new), error)
            return
        self._examiner.note(snapshot, new, objections)
        for task in new:
            objection = objections.get(task["_id"])
            task["examined"] = Examined(snapshot=snapshot, reason=objection["reason"] if objection else None)

    def _park(self, task: Task, reason: str) -> None:
        query = {"_id": task["_id"], "status": TaskStatus.READY, "reason": {"$ne": reason}}
        if self._records.tasks.update_one(query, {"$set": {"reason": reason}}).modified_count:
            self._records.log("task.parked", task["_id"], reason=reason)

    def _initiate(self, task: Task, pin: Pin) -> bool:
        query = {"_id": task["_id"], "status": TaskStatus.READY, "attempt": task["attempt"], "pin": task["pin"]}
        fields = {
            "status": TaskStatus.INITIATED,
            "pin": pin,
            "attempt": task["attempt"] + 1,
            "claim": None,
            "sent_at": now(),
            "reason": None,
        }
        return self._records.tasks.update_one(query, {"$set": fields}).modified_count == 1

    def _is_barred(self, task: str) -> bool:
        """Whether a barrier has begun since it was looked for, and does not know the task."""
        gate = self._gate()
        return not (gate.launching or gate.may_launch(task, holders(self._records)))

    def _moved_from(self, pin: Pin) -> bool:
        current = self._current()
        return current is None or current["generation"] != pin["generation"]

    def _take_back(self, task: Task) -> bool:
        """Undo an initiation nobody was told of; False when a worker found it all the same."""
        query = {**_unclaimed(task["_id"], task["attempt"] + 1)}
        fields = {"status": TaskStatus.READY, "pin": task["pin"], "attempt": task["attempt"], "sent_at": None}
        return self._records.tasks.update_one(query, {"$set": fields}).modified_count == 1

    def _resend(self) -> float | None:
        """Send again what was not claimed in time; returns when the next may be due."""
        fields = dict.fromkeys(("attempt", "sent_at", "pin", "type"), 1)
        waiting = {(task["_id"], task["attempt"]): task for task in self._records.tasks.find(_INITIATED, fields)}
        self._due = {key: self._due.get(key) or self._first_due(task) for key, task in waiting.items()}
        for key in [key for key, due in self._due.items() if due <= self._clock()]:
            self._send_again(waiting[key])
            self._due[key] = self._clock() + RESEND_SECONDS
        return min((due - self._clock() for due in self._due.values()), default=None)

    def _first_due(self, task: Task) -> float:
        """By the clock of this process: what the one on the wall tells is only taken for how long ago it was sent."""
        ago = (now() - (task["sent_at"] or now())).total_seconds()
        return self._clock() + RESEND_SECONDS - min(max(ago, 0.0), RESEND_SECONDS)

    def _send_again(self, task: Task) -> None:
        pin = task["pin"]
        assert pin is not None, task["_id"]
        worker = self._records.workers.find_one({"snapshot": pin["snapshot"], "queue": {"$ne": ""}})
        query = {**_unclaimed(task["_id"], task["attempt"]), "sent_at": task["sent_at"]}
        renewed = self._records.tasks.update_one(query, {"$set": {"sent_at": now()}}).modified_count
        if renewed and worker is not None:
            self._tell(task, pin, task["attempt"], worker["queue"])

    def _tell(self, task: Task, pin: Pin, attempt: int, queue: str) -> None:
        """Have the attempt claimed: by the worker of the snapshot, or by a process that is started for it."""
        if self._catalog.get(pin["snapshot"]).tasks.get(task["type"], {}).get("isolation") == "process":
            self._start_alone(pin["snapshot"], task["_id"], attempt)
        else:
            self._hint(queue, task["_id"], attempt)

    def _hint(self, queue: str, task: str, attempt: int) -> None:
        try:
            self._send(queue, task, attempt)
        except RoutingError as error:
            log.warning("Task %s is sent again in %g s: %s", task, RESEND_SECONDS, error)


class _Capacity:
    """How many more tasks each snapshot's workers can take; counted from the tasks, which are the truth."""

    def __init__(self, records: Records) -> None:
        self._free: Counter[str] = Counter()
        self._queues: dict[str, str] = {}
        for worker in records.workers.find({"queue": {"$ne": ""}}, {"snapshot": 1, "queue": 1, "capacity": 1}):
            self._free[worker["snapshot"]] += worker["capacity"]
            self._queues[worker["snapshot"]] = worker["queue"]
        at_work = {"status": {"$in": list(_AT_WORK)}, "parent": None}
        for task in records.tasks.find(at_work, {"pin.snapshot": 1}):
            self._free[task["pin"]["snapshot"] if task["pin"] else ""] -= 1

    def queue(self, snapshot: str) -> str | None:
        """The queue of the snapshot, or None when nobody there has room."""
        return self._queues.get(snapshot) if self._free[snapshot] > 0 else None

    def take(self, snapshot: str) -> None:
        self._free[snapshot] -= 1


def _examined_with(task: Task) -> str | None:
    examined = task.get("examined")
    return None if examined is None else examined["snapshot"]


def _unclaimed(task: str, attempt: int) -> dict[str, Any]:
    return {"_id": task, "status": TaskStatus.INITIATED, "attempt": attempt, "claim": None}
