"""Which events raise an alarm, and the sentence that each is told in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lab.records import Document, Event


@dataclass(frozen=True)
class Alarm:
    """``id`` tells it from every other, over restarts; alarms of one ``kind`` about one ``subject`` are alike."""

    id: str
    kind: str
    subject: str
    text: str
    at: datetime


def _because(facts: Document) -> str:
    reason = facts.get("reason") or facts.get("error")
    return f": {reason}" if reason else ""


CAUSES: Final[dict[str, Callable[[str, Document], str]]] = {
    "device.error": lambda name, facts: f"Device {name} is in error{_because(facts)}",
    "task.lost": lambda task, _: f"Task {task} is LOST, its worker died; look, then `lab retry` or `lab cancel` it",
    "task.abandoned": lambda task, facts: (
        f"Task {task} did not stop and is abandoned; its devices are kept" + _because(facts)
    ),
    "snapshot.stranded": lambda snapshot, facts: (
        f"{len(facts.get('tasks', ()))} tasks of code version {snapshot[:12]} "
        "cannot go on with what is installed; see `lab status`"
    ),
    "deadlock.found": lambda subject, facts: f"Tasks wait for each other, deadlock at {subject}{_because(facts)}",
    "refresh.device_failed": lambda name, facts: (
        f"Device {name} did not connect with the driver of generation {facts.get('generation')}{_because(facts)}"
    ),
    "generation.rolled_back": lambda number, facts: f"Generation {number} was rolled back{_because(facts)}",
    "generation.kept": lambda number, facts: (
        f"Generation {number}, with which devices did not connect, could not be rolled back{_because(facts)}"
    ),
    "worker.failed": lambda snapshot, facts: f"No worker starts for code version {snapshot[:12]}{_because(facts)}",
}
"""Kind of event -> the sentence for its subject and facts."""


def alarm_of(event: Event) -> Alarm:
    """The alarm that an event of one of these kinds raises."""
    kind, subject = event["kind"], event["subject"]
    return Alarm(str(event["_id"]), kind, subject, CAUSES[kind](subject, event["facts"]), event["at"])
