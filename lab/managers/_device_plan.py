"""What should happen next to the devices of one share group; decided from documents alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

from lab.catalog import Definitions
from lab.managers._drivers import process_name
from lab.managers._retrying import seconds_until
from lab.managers.barrier_gate import Passage
from lab.records import Device, DeviceState, HandOverStep, now

_IDLE: Final = (DeviceState.FREE, DeviceState.UNBOUND, DeviceState.ERROR)


@dataclass(frozen=True)
class Situation:
    """What the plan depends on beside the devices.

    ``wanted`` names, by device, the code version of the next request for it, the most urgent first; all others should
    be as in ``current``.
    ``verified(process, device)`` tells whether that process is known to live, with that device connected.
    ``pinned`` are the definitions of unfinished tasks.
    ``passage`` is what a barrier has to be done, and ``coming`` the version that it disconnects devices for.
    ``at`` is the time that it is.
    """

    current: Definitions
    wanted: Mapping[str, Definitions]
    verified: Callable[[str, str], bool]
    pinned: Collection[Definitions]
    passage: Passage = Passage.OPEN
    coming: Definitions | None = None
    at: datetime = field(default_factory=now)

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
    """Connect these devices with their drivers in ``target``, all together; their groups there may differ."""

    devices: list[Device]
    target: Definitions


@dataclass(frozen=True)
class Leave:
    """Disconnect these devices, all together, for a barrier; ``target`` has none of them if it is None."""

    devices: list[Device]
    target: Definitions | None


@dataclass(frozen=True)
class Arrive:
    """Connect a device, and those that left with it, with the version that they left for."""

    device: Device


@dataclass(frozen=True)
class Drop:
    """A device left for a version that does not have it."""

    device: Device


@dataclass(frozen=True)
class GiveUp:
    """Disconnect a device that is not well, as its driver says; it is connected again later."""

    device: Device


@dataclass(frozen=True)
class Retire:
    """Take a device out of service that no code in use defines."""

    device: Device


Handle = TypeVar("Handle")
Move: TypeAlias = Bind | Leave | Arrive | Drop
Step: TypeAlias = Restore | Move | GiveUp | Retire


def next_step(devices: list[Device], situation: Situation) -> Step | None:
    """The most urgent step for the devices of one share group; None when all is as it should be, or must wait."""
    if situation.passage is Passage.AWAY:
        return None
    first = _restore(devices, situation) or _arrive(devices, situation) or _give_up(devices)
    if situation.passage is Passage.LEAVING:
        return first or _leave(devices, situation)
    rest = situation.passage is Passage.OPEN
    return first or _bind(devices, situation) or (_retire(devices, situation) if rest else None)


def _restore(devices: list[Device], situation: Situation) -> Restore | None:
    for device in devices:
        if _doubtful(device, devices, situation):
            return Restore(device)
    return None


def _doubtful(device: Device, devices: list[Device], situation: Situation) -> bool:
    if device["state"] == DeviceState.REBINDING:
        # Only between two steps: whatever was under way has been interrupted, or waits for the release after a stop,
        # or for the end of a barrier.
        return not _halted(device, devices) and not (is_apart(device) and _is_on_course(device, situation))
    binding = device["binding"]
    return binding is not None and not situation.verified(binding["process"], device["_id"])


def is_apart(device: Device) -> bool:
    """Whether it was disconnected for a barrier."""
    hand_over = device.get("hand_over")
    return hand_over is not None and hand_over["step"] == HandOverStep.APART


def _is_on_course(device: Device, situation: Situation) -> bool:
    """Whether the version it left for is the one that comes, or is current by now; else it returns."""
    version = situation.current if situation.coming is None else situation.coming
    target = device.get("rebind_to")
    return device["_id"] not in version.devices if target is None else target == version.snapshot


def _leave(devices: list[Device], situation: Situation) -> Leave | None:
    assert situation.coming is not None, situation.passage
    for device in devices:
        if device["state"] != DeviceState.FREE or device["paused"]:
            continue
        if device["_id"] not in situation.coming.devices:
            return Leave([device], None)
        if device.get("failed_digest") == situation.coming.drivers[device["_id"]]:
            continue  # it did not hand over its state, so it stays where it is
        together = _together(device, devices, situation.coming)
        if not any(each["paused"] for each in together):
            leaving = [
                each
                for each in together
                if each["state"] == DeviceState.FREE and each["_id"] in situation.coming.devices
            ]
            return Leave(leaving, situation.coming)
    return None


def _give_up(devices: list[Device]) -> GiveUp | None:
    for device in devices:
        if device["state"] == DeviceState.FREE and not device["paused"] and device.get("ailing"):
            return GiveUp(device)
    return None


def _arrive(devices: list[Device], situation: Situation) -> Arrive | Drop | None:
    for device in devices:
        gone = situation.coming is None and device["state"] == DeviceState.REBINDING and is_apart(device)
        if gone and not _halted(device, devices) and _is_on_course(device, situation):
            return Drop(device) if device.get("rebind_to") is None else Arrive(device)
    return None


def _halted(device: Device, devices: list[Device]) -> bool:
    """Whether it, or one that moves with it, was stopped in an emergency while it was between two drivers."""
    hand_over = device.get("hand_over")
    together = [device["_id"]] if hand_over is None else hand_over["together"]
    return any(each.get("stopped", False) for each in devices if each["_id"] in together)


def _bind(devices: list[Device], situation: Situation) -> Bind | None:
    for device in devices:
        target = situation.target(device)
        if target is None or not _needs(device, target, situation):
            continue
        if situation.passage is Passage.PAUSED and device["binding"] and device["_id"] not in situation.wanted:
            continue  # nobody at work asks for it
        together = _together(device, devices, target)
        if all(each["state"] in _IDLE and not each["paused"] for each in together) and _agreed(
            together, target, situation
        ):
            moving = [each for each in together if each["_id"] in target.devices and not _is_there(each, target)]
            return Bind(moving, target)
    return None


def _is_there(device: Device, target: Definitions) -> bool:
    """Whether it is connected already in the process that the others of its group come to."""
    binding = device["binding"]
    return (
        device["state"] == DeviceState.FREE
        and binding is not None
        and binding["process"] == process_name(target.devices[device["_id"]]["group"], target.snapshot)
        and binding["digest"] == target.drivers[device["_id"]]
    )


def _agreed(together: list[Device], target: Definitions, situation: Situation) -> bool:
    """Of devices that move together the most urgent request decides; or they would move to and fro."""
    names = {each["_id"] for each in together}
    first = next((wanted for name, wanted in situation.wanted.items() if name in names), target)
    return first.snapshot == target.snapshot


def _needs(device: Device, target: Definitions, situation: Situation) -> bool:
    """Whether the device is idle and not connected with that driver, which has not failed it before.

    One in error has no driver to fall back on: what failed it is tried again, when it is time.
    """
    digest, failed = target.drivers[device["_id"]], device.get("failed_digest")
    if device["state"] not in _IDLE or device["paused"]:
        return False
    if device["state"] == DeviceState.ERROR and failed in (None, digest) and device.get("retry") is not None:
        return seconds_until(device, situation.at) == 0.0
    if failed == digest:
        return False
    return device["binding"] is None or device["binding"]["digest"] != digest


def _together(device: Device, devices: list[Device], target: Definitions) -> list[Device]:
    """The device and those it shares a handle with, in the driver they leave or in the one they go to."""

    def handles(each: Device) -> set[tuple[str, str]]:
        old = {("old", each["group"])} if each["binding"] is not None else set()
        defined = target.devices.get(each["_id"])
        return old if defined is None else old | {("new", defined["group"])}

    partners = [each for each in devices if each["state"] not in (DeviceState.ERROR, DeviceState.RETIRED)]
    groups = _connected([device, *(each for each in partners if each is not device)], handles)
    return next(group for group in groups if device in group)


def share_groups(devices: list[Device], situation: Situation) -> list[list[Device]]:
    """The devices in groups that have nothing to do with each other, neither now nor in any version that is wanted."""
    versions = [situation.current, *situation.wanted.values(), *situation.pinned]

    def handles(device: Device) -> set[str]:
        name = device["_id"]
        return {device["group"]} | {each.devices[name]["group"] for each in versions if name in each.devices}

    return _connected(devices, handles)


def _connected(devices: list[Device], handles: Callable[[Device], set[Handle]]) -> list[list[Device]]:
    """Devices that share a handle, or are linked by others that do, in the order given."""
    groups: list[tuple[set[Handle], list[Device]]] = []
    for device in devices:
        own = handles(device)
        linked = [group for group in groups if group[0] & own]
        rest = [group for group in groups if not group[0] & own]
        members = [each for _, group in linked for each in group]
        groups = [*rest, (own.union(*(each for each, _ in linked)), [*members, device])]
    return [members for _, members in groups]


def _retire(devices: list[Device], situation: Situation) -> Retire | None:
    for device in devices:
        idle = device["state"] in _IDLE and not device["paused"]
        if idle and not any(device["_id"] in each.devices for each in (situation.current, *situation.pinned)):
            return Retire(device)
    return None
