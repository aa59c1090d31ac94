"""The words for how far a task, an experiment, a request and a device are, and the groups of them that matter."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class TaskStatus(StrEnum):
    """WAITING for earlier tasks, READY to be dispatched, INITIATED (pinned and sent), then at work, then ended.

    FINISHING is one whose code has ended and whose samples a person has to take out.
    """

    WAITING = "WAITING"
    READY = "READY"
    INITIATED = "INITIATED"
    REQUESTING_RESOURCES = "REQUESTING_RESOURCES"
    RUNNING = "RUNNING"
    FINISHING = "FINISHING"
    LOST = "LOST"
    ABANDONED = "ABANDONED"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


PINNED: Final = (
    TaskStatus.INITIATED,
    TaskStatus.REQUESTING_RESOURCES,
    TaskStatus.RUNNING,
    TaskStatus.FINISHING,
    TaskStatus.LOST,
    TaskStatus.ABANDONED,
)
"""A task in one of these needs its snapshot."""

NEEDING: Final = (*PINNED, TaskStatus.WAITING, TaskStatus.READY)
"""As PINNED, for tasks that have a pin: what is retried, or kept on older code, has one before it is dispatched."""

CLAIMED: Final = (TaskStatus.REQUESTING_RESOURCES, TaskStatus.RUNNING)
"""A task in one of these is in the hands of a worker."""

UNDECIDED: Final = (TaskStatus.LOST, TaskStatus.ABANDONED)
"""Taken from its worker: a task in one of these keeps what it holds until somebody retries or cancels it."""

ENDED: Final = (TaskStatus.COMPLETED, TaskStatus.ERROR, TaskStatus.CANCELLED)


PRIORITIES: Final = range(1001)
"""Of tasks and requests; the higher goes first."""


class ExperimentStatus(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class RequestStatus(StrEnum):
    PENDING = "PENDING"
    FULFILLED = "FULFILLED"
    NEED_RELEASE = "NEED_RELEASE"
    RELEASED = "RELEASED"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


class DeviceState(StrEnum):
    """One device document holds binding, holder and fence; this word says which of them may change."""

    UNBOUND = "unbound"
    FREE = "free"
    GRANTED = "granted"
    REBINDING = "rebinding"
    ERROR = "error"
    RETIRED = "retired"


class HandOverStep(StrEnum):
    """What is being done to a REBINDING device; one that is APART waits, disconnected, for the end of a barrier."""

    EXPORTING = "exporting"
    DISCONNECTING = "disconnecting"
    CONNECTING = "connecting"
    IMPORTING = "importing"
    VERIFYING = "verifying"
    APART = "apart"
