"""The logger of one task: text goes to the log of its worker, data are kept with the task."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

_SHORT = 8


@dataclass(frozen=True)
class LogEntry:
    """Data that a task logged; ``kind`` is ``note``, ``amount`` or ``characterization``, ``level`` as in `logging`."""

    kind: str
    level: int
    data: dict[str, Any]
    at: datetime


class LogBook(Protocol):
    """Where the data go."""

    def keep(self, kind: str, level: int, data: Mapping[str, Any]) -> None:
        """Keep data with the task."""

    def entries(self, level: int, within: timedelta | None) -> list[LogEntry]:
        """What the task logged at this level or above, of the time span before now."""


class NoLogBook:
    """For tasks without a laboratory: what they log is in ``kept``."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, int, dict[str, Any]]] = []

    def keep(self, kind: str, level: int, data: Mapping[str, Any]) -> None:
        self.kept.append((kind, level, dict(data)))

    def entries(self, level: int, within: timedelta | None) -> list[LogEntry]:
        del level, within
        return []


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """A `logging.LoggerAdapter` that names the task and its code version, and keeps data beside the task.

    ``info("...")`` and the like write a line to the log of the worker; ``log("INFO", {...})`` keeps data.
    """

    def __init__(self, task_id: str, version: str, book: LogBook | None = None) -> None:
        super().__init__(logging.getLogger("lab.task"), {"task": task_id, "version": version})
        self._prefix = f"[{version[:_SHORT]} {task_id}]"
        self._book = NoLogBook() if book is None else book

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put task and version before the text, and into the record."""
        message, given = super().process(msg, kwargs)
        return f"{self._prefix} {message}", given

    def log(self, level: int | str, msg: object, *args: Any, **kwargs: Any) -> None:
        """Keep a dictionary with the task; write anything else to the log. A level is a number or a name."""
        number = _number(level)
        if isinstance(msg, Mapping):
            self._book.keep("note", number, msg)
        else:
            super().log(number, msg, *args, **kwargs)

    def log_amount(self, data: Mapping[str, Any]) -> None:
        """Keep how much of something went into or came out of a sample."""
        self._book.keep("amount", logging.INFO, data)

    def log_characterization_result(self, data: Mapping[str, Any]) -> None:
        """Keep what was measured of a sample."""
        self._book.keep("characterization", logging.INFO, data)

    def filter_log(self, level: int | str, within: timedelta | None = None) -> list[LogEntry]:
        """The data this task logged at ``level`` or above, the oldest first; ``within`` so long before now."""
        return self._book.entries(_number(level), within)


def _number(level: int | str) -> int:
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise ValueError(f"there is no log level {level!r}: use one of {', '.join(known)}")
    return known[level.upper()]
