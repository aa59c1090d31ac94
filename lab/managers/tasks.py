"""Dispatch: a READY task is pinned to the current snapshot and sent to its workers, into free capacity only.

The message is a hint. What counts is the INITIATED document, which a worker of the pinned snapshot claims; what is not
claimed within seconds is sent again.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from hotswap.errors import HotswapError
from hotswap.routing import RoutingError
from lab.catalog import Catalog
from lab.experiments.parameters import complaint, sentence
from lab.managers._barrier_blockers import holders
from lab.managers.barrier_gate import Gate, gate_of
from lab.managers.binding import ExperimentPins
from lab.managers.bus import Bus, Manager
from lab.managers.changes import REREAD_SECONDS
from lab.managers.examination import Examiner
from lab.managers.ready import ReadyTasks
from lab.records import ENDED, UNDECIDED, Examined, ExperimentStatus, Pin, Records, Task, TaskStatus, now

RESEND_SECONDS: Final = 5.0
_AT_A_TIME: Final = 16
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
        super().__init__("task manager", pause=0.02)
        self._records = records
        self._catalog = catalog
        self._current = current
        self._send = send
        self._examiner = examiner
        self._experiments = experiments
        self._start_alone = start_alone
        self._clock = clock
        self._due: dict[tuple[str, int], float] = {}
        self._ready = ReadyTasks(records)
        self._judged: dict[str, tuple[Task, str, bool]] = {}
        news = {TaskStatus.READY, *UNDECIDED, TaskStatus.FINISHING, *ENDED}
        bus.subscribe("tasks", self.wake, {"status": news}, self._changes)
        bus.subscribe("experiments", self.wake, {"status": {ExperimentStatus.RUNNING}})
        bus.subscribe("workers", self.wake, {"capacity"})
        bus.subscribe("current_generation", self.reread)  # by now its code has been tried with queued tasks
        bus.subscribe("barriers", self.wake, {"step", "outcome"})

    def reconcile(self) -> float | None:
        self._ready.read(self._changes.take())
        self._dispatch()
        return min(self._resend(), REREAD_SECONDS)

    def look_at(self, tasks: Iterable[str]) -> None:
        """These have just become READY."""
        for task in tasks:
            self._changes.note("tasks", task)
        self.wake()

    def _dispatch(self) -> None:
        ready = self._ready.in_order()
        names = {task["_id"] for task in ready}
        self._judged = {name: known for name, known in self._judged.items() if name in names}
        if not ready:
            return
        current = self._current()
        if current is not None:
            self._examine(ready, current["snapshot"])
        capacity = _Capacity(self._records, self._ready.at_work())
        launchable = self._launchable(ready)
        for begin in range(0, len(launchable), _AT_A_TIME):
            some = launchable[begin : begin + _AT_A_TIME]
            placed = self._each(some, lambda task: self._place(task, current, capacity))
            self._send_off([each for each in placed if each is not None])

    def _launchable(self, ready: list[Task]) -> list[Task]:
        gate = self._gate()
        if gate.launching:
            return ready
        holding = holders(self._records)
        return [task for task in ready if gate.may_launch(task["_id"], holding)]

    def _gate(self) -> Gate:
        return gate_of(self._records.database)

    def _place(self, task: Task, current: Pin | None, capacity: _Capacity) -> _Placed | None:
        """Pin a task where its worker has room; what becomes of it is not told to anybody yet."""
        bound = self._pin_of(task)
        pin = bound or current
        if pin is None or self._is_unfit(task, pin) or (queue := capacity.queue(pin["snapshot"])) is None:
            return None
        self._bind(task, pin)
        if not self._initiate(task, pin):
            self.look_at([task["_id"]])  # somebody moved it to other code, or ended it
            return None
        self._ready.sent(task, pin)
        capacity.take(pin["snapshot"])
        return _Placed(task, pin, queue, chosen=bound is None)

    def _send_off(self, placed: list[_Placed]) -> None:
        """Tell the workers, unless a barrier has begun or other code is current since: that was looked for before."""
        if not placed:
            return
        gate, current = self._gate(), self._current()
        holding = frozenset() if gate.launching else holders(self._records)
        bound = {each.task["experiment"] for each in placed if each.chosen} if self._experiments else set()
        for each in placed:
            barred = not gate.may_launch(each.task["_id"], holding)
            fresh = each.chosen or each.task["experiment"] in bound
            moved = fresh and (current is None or current["generation"] != each.pin["generation"])
            if (barred or moved) and self._take_back(each.task):
                self._put_back(each, fresh=fresh)
            else:
                self._tell(each.task, each.pin, each.task["attempt"] + 1, each.queue)

    def _put_back(self, placed: _Placed, *, fresh: bool) -> None:
        """As if it had not been looked at; ``fresh``: nor had any task of its experiment before."""
        task = placed.task
        if fresh and self._experiments is not None and self._experiments.free(task["experiment"], placed.pin):
            task["pin"] = None
        self._ready.put_back(task)
        self.wake()

    def _is_unfit(self, task: Task, pin: Pin) -> bool:
        """Whether that code cannot run it, which is then told; looked at once as long as neither changes."""
        known = self._judged.get(task["_id"])
        if known is None or known[0] is not task or known[1] != pin["snapshot"]:
            reason = self._unfit(task, pin)
            self._judged[task["_id"]] = known = (task, pin["snapshot"], reason is not None)
            if reason is not None:
                self._park(task, reason)
        return known[2]

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

    def _take_back(self, task: Task) -> bool:
        """Undo an initiation nobody was told of; False when a worker found it all the same."""
        query = {**_unclaimed(task["_id"], task["attempt"] + 1)}
        fields = {"status": TaskStatus.READY, "pin": task["pin"], "attempt": task["attempt"], "sent_at": None}
        return self._records.tasks.update_one(query, {"$set": fields}).modified_count == 1

    def _resend(self) -> float:
        """Send again what was not claimed in time; returns when the next may be due."""
        fields = dict.fromkeys(("attempt", "sent_at", "pin", "type"), 1)
        waiting = {(task["_id"], task["attempt"]): task for task in self._records.tasks.find(_INITIATED, fields)}
        self._due = {key: self._due.get(key) or self._first_due(task) for key, task in waiting.items()}
        for key in [key for key, due in self._due.items() if due <= self._clock()]:
            self._send_again(waiting[key])
            self._due[key] = self._clock() + RESEND_SECONDS
        return min((due - self._clock() for due in self._due.values()), default=math.inf)

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
        if renewed:
            self._tell(task, pin, task["attempt"], None if worker is None else worker["queue"])

    def _tell(self, task: Task, pin: Pin, attempt: int, queue: str | None) -> None:
        """Have the attempt claimed: by the worker of the snapshot if there is one, or by a process started for it."""
        if self._catalog.policy({**task, "pin": pin}, "isolation") == "process":
            self._start_alone(pin["snapshot"], task["_id"], attempt)
        elif queue is not None:
            self._hint(queue, task["_id"], attempt)

    def _hint(self, queue: str, task: str, attempt: int) -> None:
        try:
            self._send(queue, task, attempt)
        except RoutingError as error:
            log.warning("Task %s is sent again in %g s: %s", task, RESEND_SECONDS, error)


@dataclass(frozen=True)
class _Placed:
    """A task that is pinned, and the queue of the workers that it is for; ``chosen``: it was not bound before."""

    task: Task
    pin: Pin
    queue: str
    chosen: bool


class _Capacity:
    """How many more tasks each snapshot's workers can take."""

    def __init__(self, records: Records, at_work: Counter[str]) -> None:
        self._free: Counter[str] = Counter()
        self._queues: dict[str, str] = {}
        for worker in records.workers.find({"queue": {"$ne": ""}}, {"snapshot": 1, "queue": 1, "capacity": 1}):
            self._free[worker["snapshot"]] += worker["capacity"]
            self._queues[worker["snapshot"]] = worker["queue"]
        self._free.subtract(at_work)

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
