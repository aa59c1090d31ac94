"""Passes on what the laboratory logs while the story goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import ObjectId

from lab.demo.narration import Narrator
from lab.records import Event, Records

# Events of different processes may become visible a little later than their time says.
_LATE: Final = timedelta(seconds=2)

Facts = Mapping[str, Any]

_SENTENCES: Final[Mapping[str, Callable[[str, Facts], str]]] = {
    "device.connected": lambda device, _: f"{device} connected",
    "device.disconnected": lambda device, facts: f"{device} disconnected: {facts['reason']}",
    "device.rebound": lambda device, facts: f"{device} rebound: driver of {facts['from'][:8]} -> {facts['to'][:8]}",
    "device.error": lambda device, facts: f"{device} in error: {facts['reason']}",
    "device.revoked": lambda device, facts: f"{device} taken from the lost attempt, fence {facts['fence']}",
    "experiment.submitted": lambda experiment, _: f"experiment {experiment} submitted",
    "experiment.ended": lambda experiment, facts: f"experiment {experiment} {facts['status']}",
    "generation.live": lambda number, facts: f"generation {number} live, code version {facts['snapshot'][:8]}",
    "refresh.rejected": lambda _, facts: f"refresh rejected: {facts['error']}",
    "task.lost": lambda task, facts: f"task {task} LOST with worker {facts['worker']}",
    "task.retried": lambda task, facts: f"task {task} retried by {facts['actor']}",
    "version.retired": lambda snapshot, _: f"workers of code version {snapshot[:8]} ended, nothing needs them",
    "worker.died": lambda worker, _: f"worker {worker} died",
}


class EventFeed:
    """Tells each event once; ``names`` are what to call subjects instead of by their id."""

    def __init__(self, records: Records, narrator: Narrator, names: Mapping[str, str]) -> None:
        self._records = records
        self._narrator = narrator
        self._names = names
        self._told: set[ObjectId] = set()
        self._newest = datetime.fromtimestamp(0, UTC)

    def catch_up(self) -> None:
        """Tell what was logged since the last time, in order of time."""
        recent = {"at": {"$gt": self._newest - _LATE}}
        for event in self._records.events.find(recent, sort=[("at", 1)]):
            if event["_id"] not in self._told:
                self._told.add(event["_id"])
                self._newest = max(self._newest, event["at"])
                self._tell(event)

    def _tell(self, event: Event) -> None:
        sentence = _SENTENCES.get(event["kind"])
        if sentence is not None:
            subject = self._names.get(event["subject"], event["subject"])
            self._narrator.tell(event["at"], sentence(subject, event["facts"]))
