"""The state of a device on its way from one driver to the next: its three hooks, called with care."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import bson

from lab.definitions import BaseDevice
from lab.drivers._faults import CallFailed
from lab.errors import DeviceError
from lab.plain import to_plain

LARGEST_STATE: Final = 64 * 1024
"""Bytes; the state is kept in the document of the device until the next driver has it."""


def exported_state(device: BaseDevice, tree: Path) -> Any:
    """What ``export_state`` returns, as plain data.

    Raises DeviceError when it is too large or more than plain data, CallFailed when the driver raised.
    """
    told = _guarded(device.export_state, tree)
    try:
        state = to_plain(told, f"What export_state of {device.name} returns")
    except TypeError as error:
        raise DeviceError(str(error)) from error
    size = len(bson.encode({"state": state}))
    if size > LARGEST_STATE:
        raise DeviceError(
            f"What export_state of {device.name} returns takes {size} bytes, more than the {LARGEST_STATE} that are "
            "kept between two drivers; return less, such as the name of a file."
        )
    return state


def imported_state(device: BaseDevice, state: Any, tree: Path) -> None:
    """Raises CallFailed when the driver raised."""
    _guarded(lambda: device.import_state(state), tree)


def verified_state(device: BaseDevice, state: Any, tree: Path) -> None:
    """Raises DeviceError when the driver says that the device is not as ``state`` says, CallFailed when it raised."""
    verdict = _guarded(lambda: device.verify_state(state), tree)
    if verdict is not None and not verdict:  # one that only raises returns nothing
        raise DeviceError(f"Device {device.name} is not as the driver before left it: verify_state says no.")


def _guarded(hook: Callable[[], Any], tree: Path) -> Any:
    try:
        return hook()
    except BaseException as error:  # a driver must not end the process it shares with others
        raise CallFailed(error, tree) from error
