"""What a barrier bars: one document says it, so that whatever was barred is free again from one instant to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.database import Database

from lab.records import Document

BARRIERS: Final = "barriers"
"""The collection: a document per barrier, with the id of its refresh; ``outcome`` is None while it is under way."""


class BarrierStep(StrEnum):
    """The ten steps of a barrier, in their order; each is written down when it is reached."""

    LAUNCHING_STOPPED = "launching_stopped"
    ALLOCATING_STOPPED = "allocating_stopped"
    DEVICES_PAUSED = "devices_paused"
    QUIET = "quiet"
    DISCONNECTED = "disconnected"
    PROMOTED = "promoted"
    CONNECTED = "connected"
    DEVICES_RESUMED = "devices_resumed"
    ALLOCATING_RESUMED = "allocating_resumed"
    LAUNCHING_RESUMED = "launching_resumed"

    @property
    def number(self) -> int:
        """1 to 10."""
        return _STEPS.index(self) + 1


_STEPS: Final = tuple(BarrierStep)


class Passage(StrEnum):
    """What is to be done with the devices: nothing special, only what tasks at work need, or the next step."""

    OPEN = "open"
    PAUSED = "paused"
    LEAVING = "leaving"
    AWAY = "away"


@dataclass(frozen=True)
class Gate:
    """Who may do what just now; ``admitted`` are the tasks that the barrier found at work.

    ``target`` is the snapshot that devices are disconnected for.
    """

    launching: bool = True
    allocating: bool = True
    passage: Passage = Passage.OPEN
    admitted: frozenset[str] | None = None
    target: str = ""

    def may_launch(self, task: str, holders: frozenset[str]) -> bool:
        """A task that is retried while it holds something has to end before anything goes on."""
        return self.launching or task in holders

    def may_have(self, task: str) -> bool:
        """Whether the task's requests are granted."""
        return self.allocating or self.admitted is None or task in self.admitted


OPEN: Final = Gate()


def barriers_of(database: Database[Document]) -> Collection[Document]:
    return database[BARRIERS]


def active(database: Database[Document]) -> Document | None:
    """The barrier that is under way; there is never more than one."""
    return database[BARRIERS].find_one({"outcome": None})


def gate_of(database: Database[Document]) -> Gate:
    """What is barred at this moment."""
    document = active(database)
    return OPEN if document is None else gate_at(document)


def gate_at(document: Mapping[str, Any]) -> Gate:
    """What a barrier bars at the step it has reached."""
    number = BarrierStep(document["step"]).number
    admitted = document.get("admitted")
    return Gate(
        launching=False,
        allocating=not BarrierStep.ALLOCATING_STOPPED.number <= number < BarrierStep.ALLOCATING_RESUMED.number,
        passage=_PASSAGES.get(BarrierStep(document["step"]), Passage.OPEN),
        admitted=None if admitted is None else frozenset(admitted),
        target=document["snapshot"],
    )


_PASSAGES: Final = {
    BarrierStep.DEVICES_PAUSED: Passage.PAUSED,
    BarrierStep.QUIET: Passage.LEAVING,
    BarrierStep.DISCONNECTED: Passage.AWAY,
}
