"""Signals of devices that tasks record."""

from __future__ import annotations

from typing import Any

from lab.errors import DeviceError
from lab.patience import patiently
from lab.plain import to_record
from lab.records import Records
from lab.signals import Signals, new_signal


def log_device_signal(records: Records, device: str, name: str, value: Any) -> None:
    """Record a value now. Raises DeviceError for a device that there is not, TypeError for more than plain data."""
    if patiently(lambda: records.devices.find_one({"_id": device}, {"_id": 1})) is None:
        raise DeviceError(f"There is no device {device!r}, so its signal {name!r} is not recorded; correct the name.")
    signal = new_signal(device, name, to_record(value, f"Signal {name!r} of {device}"))
    patiently(lambda: Signals(records).write([signal]))
