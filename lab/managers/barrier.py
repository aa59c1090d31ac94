"""The barrier: code that must not overlap with other code goes live when nothing runs, in ten steps.

All of it is in one document. While it has no outcome it bars others, by the step it has reached; with an outcome it
bars nobody. So neither a crash nor an end at any step can leave anything barred.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, Protocol

from hotswap.cutover import NotCutOverError, Outcome, Refresh
from hotswap.generations import Generations
from lab.managers._barrier_blockers import at_work, blockers, moving, said
from lab.managers.barrier_gate import BarrierStep, active, barriers_of
from lab.managers.bus import Bus, Manager
from lab.records import Document, Records, now
from lab.refusals import ConflictError

POLICY: Final = "barrier"
"""The value of ``cutover``, in lab.toml and in a refresh, that asks for a barrier."""

_POLL_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
_CANCELLABLE: Final = (BarrierStep.LAUNCHING_STOPPED, BarrierStep.ALLOCATING_STOPPED, BarrierStep.DEVICES_PAUSED)
_BEFORE: Final = (*_CANCELLABLE, BarrierStep.QUIET, BarrierStep.DISCONNECTED)

log = logging.getLogger(__name__)


class Movers(Protocol):
    """What a barrier asks of the device manager."""

    def unsettled(self) -> list[str]:
        """The devices that are not yet as the present step of the barrier wants them."""

    def running(self) -> dict[str, str]:
        """The devices that are in motion though nobody holds them -> what they do."""


class BarrierManager(Manager):
    """Takes a barrier from step to step; ``around`` is how a refresh begins one, and waits for it.

    ``timeout``, in seconds, is how long nothing may be launched: then a barrier is undone that has not promoted
    anything, and one that has leaves the devices behind that do not connect.
    """

    def __init__(self, records: Records, bus: Bus, devices: Movers, timeout: float) -> None:
        super().__init__("barrier manager", pause=0.1)
        self._records = records
        self._barriers = barriers_of(records.database)
        self._generations = Generations(records.database)
        self._devices = devices
        self._timeout = timeout
        self._owned: str | None = None
        self._since: tuple[str, float] = ("", 0.0)
        self._beginning = threading.Lock()
        self._moved = threading.Condition()
        self._stopping = False
        bus.subscribe("barriers", self.wake, {"step", "outcome"})
        bus.subscribe("tasks", self.wake, {"status"})
        bus.subscribe("requests", self.wake, {"status"})
        bus.subscribe("devices", self.wake, {"state", "holder", "paused", "binding", "hand_over"})
        bus.subscribe("positions", self.wake, {"holder"})

    # -- for a refresh -------------------------------------------------------------------------------------------

    @contextmanager
    def around(self, refresh: Refresh, snapshot: str, superseded: Callable[[], bool]) -> Iterator[None]:
        """See ``hotswap.cutover.Cutover``; only a refresh whose ``cutover`` is a barrier begins one."""
        try:
            while not self._begin(refresh, snapshot):
                self._pause(superseded)
            self._wait(refresh.id, superseded)
            yield
        finally:
            self._let_go(refresh.id)

    def cancel(self, actor: str) -> Document:
        """Undo the barrier that is under way. Raises ConflictError when there is none, or devices are on their way."""
        document = active(self._records.database)
        if document is None:
            raise ConflictError("No barrier is under way; `lab versions` tells what is live.")
        if not self._undo(document["_id"], f"{actor} cancelled it", _CANCELLABLE):
            raise ConflictError(
                "The barrier has begun to disconnect devices, so it is not cancelled any more; "
                "`lab rollback` undoes what it brings."
            )
        return dict(self._barriers.find_one({"_id": document["_id"]}) or {})

    def halt(self) -> None:
        """Have whoever waits for a barrier give up, because the managers end."""
        self._stopping = True
        with self._moved:
            self._moved.notify_all()

    def _begin(self, refresh: Refresh, snapshot: str) -> bool:
        """Begin a barrier where one is wanted; the newest wins, but where devices are on their way it has to wait."""
        with self._beginning:
            document = active(self._records.database)
            if document is not None and not self._supersede(document["_id"]):
                return False
            current = self._generations.current()
            if refresh.facts.get("cutover") == POLICY and current is not None:
                self._insert(refresh, snapshot, current.number)
            return True

    def _supersede(self, barrier: str) -> bool:
        return self._undo(barrier, "a newer refresh took its place", _CANCELLABLE, superseded=True)

    def _insert(self, refresh: Refresh, snapshot: str, follows: int) -> None:
        step = BarrierStep.LAUNCHING_STOPPED
        document: Document = {
            "_id": refresh.id,
            "snapshot": snapshot,
            "follows": follows,
            "actor": refresh.actor,
            "step": str(step),
            "steps": [{"step": str(step), "at": now()}],
            "admitted": None,
            "blockers": [],
            "left": [],
            "outcome": None,
            "reason": None,
        }
        self._owned = refresh.id
        self._barriers.insert_one(document)
        self._records.log(f"barrier.{step}", refresh.id, snapshot=snapshot)
        self.wake()

    def _wait(self, barrier: str, superseded: Callable[[], bool]) -> None:
        """Until the devices are disconnected. Raises NotCutOverError when it is undone."""
        while True:
            document = self._barriers.find_one({"_id": barrier})
            if document is None:
                return  # none was wanted
            if document["outcome"] is not None:
                raise _undone(document)
            if document["step"] == BarrierStep.DISCONNECTED:
                return
            if not (superseded() and self._supersede(barrier)):
                self._pause(lambda: False)

    def _pause(self, superseded: Callable[[], bool]) -> None:
        if self._stopping:
            raise NotCutOverError("The managers ended before this refresh did; refresh again.", Outcome.INTERRUPTED)
        if superseded():
            raise NotCutOverError("A newer refresh took its place.", Outcome.SUPERSEDED)
        with self._moved:
            self._moved.wait(_POLL_SECONDS)

    def _let_go(self, barrier: str) -> None:
        if self._owned == barrier:  # else a newer one has taken its place
            self._owned = None
        self.wake()

    # -- step by step --------------------------------------------------------------------------------------------

    def reconcile(self) -> float | None:
        while (document := active(self._records.database)) is not None:
            if document["_id"] != self._owned and document["step"] in _BEFORE:
                self._resolve(document)
            elif not self._advance(document):
                return None if document["step"] == BarrierStep.DISCONNECTED else _LOOK_SECONDS
        return None

    def _resolve(self, document: Document) -> None:
        """Nobody waits for it any more: the code became current, or it did not. A crash ends up here, too."""
        current = self._generations.current()
        if current and current.number > document["follows"] and current.snapshot == document["snapshot"]:
            self._reach(document, BarrierStep.PROMOTED)
        else:
            self._undo(document["_id"], "its refresh ended before the code was current", _BEFORE)

    def _advance(self, document: Document) -> bool:
        """Whether it has come further, or to its end."""
        step = BarrierStep(document["step"])
        if step is BarrierStep.LAUNCHING_STOPPED:
            admitted = sorted(at_work(self._records))
            return self._reach(document, BarrierStep.ALLOCATING_STOPPED, admitted=admitted)
        if step is BarrierStep.DEVICES_PAUSED:
            return self._drain(document)
        if step is BarrierStep.QUIET:
            return self._move_devices(document, BarrierStep.DISCONNECTED)
        if step is BarrierStep.DISCONNECTED:
            return False
        if step is BarrierStep.PROMOTED:
            return self._move_devices(document, BarrierStep.CONNECTED)
        return self._reach(document, _NEXT[step])

    def _drain(self, document: Document) -> bool:
        found = blockers(self._records) or moving(self._devices.running())
        if not found:
            return self._reach(document, BarrierStep.QUIET, blockers=[])
        if found != document["blockers"]:
            self._barriers.update_one(_at(document), {"$set": {"blockers": found}})
        return self._is_late(document) and self._undo_late({**document, "blockers": found})

    def _move_devices(self, document: Document, to: BarrierStep) -> bool:
        left = self._devices.unsettled()
        if not left:
            return self._reach(document, to)
        if not self._is_late(document):
            return False
        if to is BarrierStep.CONNECTED:
            log.warning("The barrier goes on without devices that do not connect: %s", ", ".join(left))
            return self._reach(document, to, left=left)
        still = moving(dict.fromkeys(left, "does not disconnect"))
        return self._undo_late({**document, "blockers": still})

    def _undo_late(self, document: Document) -> bool:
        reason = f"it was not done after {self._timeout:g} s (barrier_timeout), blocked by {said(document)}"
        return self._undo(document["_id"], reason, _BEFORE[:-1], blockers=document["blockers"])

    def _is_late(self, document: Document) -> bool:
        """By the clock of this process, anew after a restart and after the promotion."""
        phase = f"{document['_id']} {document['step'] in _BEFORE}"
        if self._since[0] != phase:
            self._since = (phase, time.monotonic())
        return time.monotonic() - self._since[1] >= self._timeout

    def _reach(self, document: Document, step: BarrierStep, **fields: Any) -> bool:
        if step is BarrierStep.LAUNCHING_RESUMED:
            fields["outcome"] = "done"
        change = {"$set": {"step": str(step), **fields}, "$push": {"steps": {"step": str(step), "at": now()}}}
        if not self._barriers.update_one(_at(document), change).modified_count:
            return True  # somebody undid it, which is a move, too
        self._records.log(f"barrier.{step}", document["_id"], **fields)
        self._tell()
        return True

    def _undo(self, barrier: str, reason: str, before: tuple[BarrierStep, ...], **fields: Any) -> bool:
        """Whether it was at one of these steps still, and bars nobody any more."""
        query = {"_id": barrier, "outcome": None, "step": {"$in": [str(step) for step in before]}}
        ended = {"outcome": "undone", "reason": reason, "ended_at": now(), **fields}
        if not self._barriers.update_one(query, {"$set": ended}).modified_count:
            return False
        log.warning("The barrier was undone: %s", reason)
        self._records.log("barrier.undone", barrier, reason=reason)
        self._tell()
        return True

    def _tell(self) -> None:
        with self._moved:
            self._moved.notify_all()


_STEPS: Final = tuple(BarrierStep)
_NEXT: Final = dict(pairwise(_STEPS))


def _undone(document: Document) -> NotCutOverError:
    superseded = bool(document.get("superseded"))
    then = "" if superseded else ": refresh again"
    reason = f"The barrier was undone, because {document['reason']}; nothing was changed{then}."
    return NotCutOverError(reason, Outcome.SUPERSEDED if superseded else Outcome.UNDONE)


def _at(document: Document) -> Document:
    return {"_id": document["_id"], "outcome": None, "step": document["step"]}
