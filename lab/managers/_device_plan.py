"""What should happen next to the devices of one share group; decided from documents alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from lab.catalog import Definitions
from lab.records import Device, DeviceState

_IDLE: Final = (DeviceState.FREE, DeviceState.UNBOUND, DeviceState.ERROR)


@dataclass(frozen=True)
class Situation:
    """What the plan depends on beside the devices.

    ``wanted`` names, by device, the code version of the next request for it; all others should be as in ``current``.
    ``verified(process, device)`` tells whether that process is known to live, with that device connected.
    ``pinned`` are the definitions of unfinished tasks.
    """

    current: Definitions
    wanted: Mapping[str, Definitions]
    verified: Callable[[str, str], bool]
    pinned: Collection[Definitions]

    def target(self, device: Device) -> Definitions | None:
        """The definitions whose driver a free device should have; None when they have none for it.

        A device that has no driver at all, and that only unfinished tasks know, is connected for those.
        """
        name = device["_id"]
        last = self.pinned if device["binding"] is None else ()
        candidates = [self.wanted[name]] if name in self.wanted else [self.current, *last]
        return next((each for each in candidates if name in each.devices), None)


@dataclass(frozen=True)
class Restore:
    """Find out how a device is after an interruption, and connect it if it is not."""

    device: Device


@dataclass(frozen=True)
class Bind:
    """Connect these devices with their drivers in ``target``, all together."""

    devices: list[Device]
    target: Definitions


@dataclass(frozen=True)
class Retire:
    """Take a device out of service that no code in use defines."""

    device: Device


Step: TypeAlias = Restore | Bind | Retire


def next_step(devices: list[Device], situation: Situation) -> Step | None:
    """The most urgent step for the devices of one share group; None when all is as it should be, or must wait."""
    return _restore(devices, situation) or _bind(devices, situation) or _retire(devices, situation)


def _restore(devices: list[Device], situation: Situation) -> Restore | None:
    for device in devices:
        if _doubtful(device, situation):
            return Restore(device)
    return None


def _doubtful(device: Device, situation: Situation) -> bool:
    if device["state"] == DeviceState.REBINDING:
        return True  # only between two steps: whatever was under way has been interrupted
    binding = device["binding"]
    return binding is not None and not situation.verified(binding["process"], device["_id"])


def _bind(devices: list[Device], situation: Situation) -> Bind | None:
    for device in devices:
        target = situation.target(device)
        if target is None or not _needs(device, target):
            continue
        together = _together(device, devices, target)
        if all(each["state"] in _IDLE and not each["paused"] for each in together):
            return Bind(together, target)
    return None


def _needs(device: Device, target: Definitions) -> bool:
    """Whether the device is idle and not connected with that driver, which has not failed it before."""
    digest = target.drivers[device["_id"]]
    if device["state"] not in _IDLE or device["paused"] or device.get("failed_digest") == digest:
        return False
    return device["binding"] is None or device["binding"]["digest"] != digest


def _together(device: Device, devices: list[Device], target: Definitions) -> list[Device]:
    """The device and those it shares its handle with."""
    group = target.devices[device["_id"]]["group"]
    partners = [each for each in devices if each["_id"] in target.devices and each is not device]
    return [device] + [
        each
        for each in partners
        if target.devices[each["_id"]]["group"] == group
        and each["state"] not in (DeviceState.ERROR, DeviceState.RETIRED)
    ]


def _retire(devices: list[Device], situation: Situation) -> Retire | None:
    for device in devices:
        idle = device["state"] in _IDLE and not device["paused"]
        if idle and not any(device["_id"] in each.devices for each in (situation.current, *situation.pinned)):
            return Retire(device)
    return None
