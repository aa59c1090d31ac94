"""Names for the priorities that laboratories agree on."""

from __future__ import annotations

from enum import IntEnum


class TaskPriority(IntEnum):
    """What is granted first; any whole number from 0 to 1000 is a priority."""

    SYSTEM = 900
    URGENT = 100
    HIGH = 30
    NORMAL = 20
    LOW = 10
