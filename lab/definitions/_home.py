"""What the laboratory does for one device, and what stands for it where there is no laboratory."""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from ._signals import Reading
from ._switch import in_simulation

_Answer = TypeVar("_Answer")


class Home(ABC):
    """The laboratory as one device may use it; callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    @property
    @abstractmethod
    def simulated(self) -> bool:
        """Whether this device pretends."""

    @abstractmethod
    def read(self, name: str, default: Any) -> Any:
        """The value that is kept under a name; ``default`` when there is none."""

    @abstractmethod
    def write(self, name: str, value: Any) -> None:
        """Keep a value of plain data under a name."""

    def change(self, name: str, default: Any, change: Callable[[Any], _Answer]) -> _Answer:
        """Have ``change`` alter the kept list or dictionary; nothing is kept when it raises."""
        with self._lock:
            value = self.read(name, default)
            answer = change(value)
            self.write(name, value)
        return answer

    @abstractmethod
    def readings(self, name: str, within: timedelta | None) -> list[Reading]:
        """What was recorded of a signal within the time span before now; None: the last value alone."""

    @abstractmethod
    def pause(self) -> None:
        """Grant the device to nobody from now on."""

    @abstractmethod
    def unpause(self) -> None:
        """End a pause that the device began itself."""


class MemoryHome(Home):
    """Without a laboratory values live as long as the device, and nobody is there to be paused for."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self._values: dict[str, Any] = {}

    @property
    def simulated(self) -> bool:
        return in_simulation()

    def read(self, name: str, default: Any) -> Any:
        return copy.copy(self._values.get(name, default))

    def write(self, name: str, value: Any) -> None:
        self._values[name] = copy.copy(value)

    def readings(self, name: str, within: timedelta | None) -> list[Reading]:
        del name, within
        return []

    def pause(self) -> None:
        self.paused = True

    def unpause(self) -> None:
        self.paused = False
