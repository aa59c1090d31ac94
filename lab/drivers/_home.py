"""What the laboratory does for one device in its driver process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from lab.definitions import Home, Reading
from lab.device_values import DeviceValues
from lab.patience import patiently
from lab.records import Records
from lab.signals import Signals


class DeviceHome(Home):
    """Of one device; ``open_records`` gives the database, asked for when it is first needed."""

    def __init__(self, device: str, simulated: bool, open_records: Callable[[], Records]) -> None:
        super().__init__()
        self._device = device
        self._simulated = simulated
        self._open = open_records

    @property
    def simulated(self) -> bool:
        return self._simulated

    def read(self, name: str, default: Any) -> Any:
        found = DeviceValues(self._open()).find(self._device, name)
        return _copy(default) if found is None else found["value"]

    def write(self, name: str, value: Any) -> None:
        DeviceValues(self._open()).keep(self._device, name, value)

    def readings(self, name: str, within: timedelta | None) -> list[Reading]:
        signals = Signals(self._open())
        return signals.latest(self._device, name) if within is None else signals.since(self._device, name, within)

    def pause(self) -> None:
        self._set_paused({"paused": False}, paused=True)

    def unpause(self) -> None:
        self._set_paused({"paused": True, "paused_by_driver": True, "stopped": {"$ne": True}}, paused=False)

    def _set_paused(self, before: dict[str, Any], *, paused: bool) -> None:
        records = self._open()
        change = {"$set": {"paused": paused, "paused_by_driver": paused}}
        if patiently(lambda: records.devices.update_one({"_id": self._device, **before}, change)).modified_count:
            records.log("device.paused" if paused else "device.released", self._device, by="driver")


def _copy(default: Any) -> Any:
    """The default of a list or dictionary is altered in place."""
    return default.copy() if isinstance(default, list | dict) else default
