"""The base class of drivers."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar, cast

from ._home import Home, MemoryHome
from ._position import SamplePosition
from ._recording import Construction, is_recording
from ._signals import Reading
from ._values import DictInDatabase, ListInDatabase

_Value = TypeVar("_Value")

_log = logging.getLogger(__name__)


class BaseDevice(ABC):
    """A physical device, driven by one process at a time.

    The constructor keeps its arguments and touches no hardware; `connect` does. Its arguments are plain data
    (text, numbers, booleans, None, lists, dictionaries). Constructing a device while the lab is imported is
    recorded, not executed: the real one is built in its driver process.
    """

    description: str = ""
    """What it is, for people. A class may say it for all its devices, as an attribute or a property."""

    _message: str = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        construction = Construction(cls, args, kwargs)
        if is_recording():
            # Not an instance of the class, so Python does not call __init__.
            return cast(Self, construction)
        device = super().__new__(cls)
        device._construction = construction
        device._home = MemoryHome()
        return device

    def __init__(self, name: str, description: str | None = None) -> None:
        self.name = name
        if description is not None:
            self.description = description

    _construction: Construction
    _home: Home

    @property
    @abstractmethod
    def sample_positions(self) -> list[SamplePosition]:
        """The places for samples inside the device; known before it is connected."""

    @abstractmethod
    def connect(self) -> None:
        """Open the connection; connecting again must not move hardware."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close the connection; harmless when it is closed already."""

    @abstractmethod
    def is_running(self) -> bool:
        """Tell whether the device is doing something that must not be interrupted."""

    check_health_seconds: ClassVar[float] = 60.0

    def check_health(self) -> None:  # noqa: B027 - a driver that cannot tell has nothing to do here
        """Raise when the device does not answer or must not be used; asked from time to time while nobody holds it.

        It is disconnected then, in error, and connected again by itself until that succeeds. Asked every
        ``check_health_seconds``, between two calls; it must not move anything.
        """

    def emergency_stop(self) -> None:
        """Bring the device to a safe state at once; called at any moment, from any thread.

        This default stops nothing, and says so in the log and in the message of the device.
        """
        _log.warning("device %s has no emergency stop of its own: nothing was stopped", self.name)
        self.set_message("emergency stop: this driver defines none, nothing was stopped")

    def export_state(self) -> Any:
        """What the next driver has to know to go on where this one ends, as plain data; None when that is nothing.

        Called before `disconnect` when the device gets the driver of another code version.
        """
        return None

    def import_state(self, state: Any) -> None:  # noqa: B027 - a driver without state has nothing to do here
        """Take over what the driver before exported; called after `connect`, perhaps twice, and moves no hardware.

        ``state`` may come from an older or a newer version of the driver.
        """

    def verify_state(self, state: Any) -> bool:  # noqa: ARG002 - nothing was exported, so that nothing can differ
        """Read back from the hardware whether it still is as ``state`` says; called after `import_state`.

        When it is not, or this raises, the driver before is connected again.
        """
        return True

    def set_message(self, message: str) -> None:
        """Show ``message`` beside the device on the dashboard."""
        self._message = message

    def request_maintenance(
        self,
        prompt: str,
        options: Sequence[str] = ("OK",),  # noqa: ARG002 - for its driver process, which puts its own method in place
    ) -> str:
        """Ask a person and wait, however long it takes; returns the option that the person chose.

        An emergency stop, and whatever takes the device from its task, ends the wait by raising `DeviceError`.
        """
        raise RuntimeError(f"device {self.name} asks {prompt!r}, but only a connected device of a lab can ask people")

    @property
    def message(self) -> str:
        """The latest message, empty if there was none."""
        return self._message

    def get_message(self) -> str:
        """As ``message``, for tasks: they can only call methods."""
        return self.message

    @property
    def simulated(self) -> bool:
        """Tell whether this device only pretends, as its methods marked with `mock` do."""
        return self._home.simulated

    def list_in_database(self, name: str, default_value: Iterable[_Value] | None = None) -> ListInDatabase[_Value]:
        """A list that outlives connections, restarts and driver versions; ``default_value`` until it is changed.

        It behaves as a list of text, numbers, booleans, bytes, datetimes and None, and raises `TypeError` for others.
        """
        return ListInDatabase(self._home, name, default_value)

    def dict_in_database(self, name: str, default_value: Mapping[str, _Value] | None = None) -> DictInDatabase[_Value]:
        """As `list_in_database`, a dictionary with text as keys."""
        return DictInDatabase(self._home, name, default_value)

    def retrieve_signal(self, name: str, within: timedelta | None = None) -> list[Reading]:
        """What was recorded of a signal of this device within the time span before now, the oldest first.

        None gives the last value alone; the list is empty when there is none, as in a test without a lab.
        """
        return self._home.readings(name, within)

    def pause(self) -> None:
        """Have this device granted to nobody after the task that holds it, until `unpause` or a person's release."""
        self._home.pause()

    def unpause(self) -> None:
        """End what `pause` began; a pause or an emergency stop by a person stays."""
        self._home.unpause()
