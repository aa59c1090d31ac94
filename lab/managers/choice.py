"""Which devices and places a request gets, as a pure function of the documents."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from lab.catalog import Definitions
from lab.records import Device, DeviceState, Position, Request, Sample, Want

Places = dict[str, list[str]]


@dataclass(frozen=True)
class Choice:
    """Everything a request asks for: key of the want -> device, and key -> prefix -> position names."""

    devices: dict[str, str]
    positions: dict[str, Places]

    def places(self) -> list[str]:
        """All position names."""
        return [name for places in self.positions.values() for names in places.values() for name in names]


@dataclass(frozen=True)
class Lack:
    """Why a request has to wait. ``rebind`` names the devices it will get once they have the driver of its snapshot.

    ``keep`` names those that no later request may take meanwhile, or it might wait for ever: also what shares a
    handle with one of them, and so has to be free when that gets its driver. ``hopeless``: no release will ever help,
    because the snapshot does not define what is asked for.
    """

    reason: str
    rebind: tuple[str, ...] = ()
    keep: frozenset[str] = frozenset()
    hopeless: bool = False


@dataclass(frozen=True)
class Situation:
    """The laboratory at one moment; ``reserved`` devices are being prepared for a request that comes first."""

    devices: Mapping[str, Device]
    positions: Mapping[str, Position]
    occupants: Mapping[str, str]
    reserved: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        devices: Sequence[Device],
        positions: Sequence[Position],
        samples: Sequence[Sample],
        reserved: frozenset[str] = frozenset(),
    ) -> Situation:
        """``samples`` are those that stand in a position."""
        return cls(
            {device["_id"]: device for device in devices},
            {position["_id"]: position for position in positions},
            {sample["position"]: sample["_id"] for sample in samples if sample["position"] is not None},
            reserved,
        )

    def keeping(self, kept: Collection[frozenset[str]], task: str) -> Situation:
        """As a later request of ``task`` finds it, with what each earlier request keeps.

        An earlier request that itself waits for a holder keeps nothing from tasks that hold something: the holder may
        need one of them to come to its end, and both would wait for ever.
        """
        holds = task in self._holders(self.devices) or task in self._holders(self.positions)
        barring = [each for each in kept if not (holds and self._holders(each))]
        return replace(self, reserved=self.reserved.union(*barring))

    def _holders(self, names: Collection[str]) -> set[str]:
        found = (self.devices.get(name) or self.positions.get(name) for name in names)
        return {each["holder"] for each in found if each is not None and each["holder"] is not None}

    @cached_property
    def crowd(self) -> Mapping[str, int]:
        """How many samples stand on each device."""
        devices = [self.positions[name]["device"] for name in self.occupants if name in self.positions]
        return {device: devices.count(device) for device in devices if device is not None}


def choose(
    request: Request, own_samples: Collection[str], situation: Situation, definitions: Definitions
) -> Choice | Lack:
    """Decide a pending request: all of it, or nothing and why.

    A device or place that the task holds already counts as granted. Otherwise a device must be free, not paused and
    bound to the driver that ``definitions`` (of the task's snapshot) gives it; a place must be unheld, and empty or
    occupied by one of ``own_samples``. The emptiest device is preferred.
    """
    return _Chooser(request, frozenset(own_samples), situation, definitions).choose()


@dataclass
class _Chooser:
    request: Request
    own_samples: frozenset[str]
    situation: Situation
    definitions: Definitions
    taken: set[str] = field(default_factory=set)

    def choose(self) -> Choice | Lack:
        hopeless = next(self._hopeless(), None)
        if hopeless is not None:
            return Lack(hopeless, hopeless=True)
        standalone: dict[str, Places] = {}
        for want in self.request["wants"]:
            if want["kind"] == "none":
                places = self._places(want, None)
                if places is None:
                    return Lack(f"The places {_words(want)} are not all free.")
                self.taken.update(*places.values())
                standalone[want["key"]] = places
        return self._with_devices(standalone)

    def _with_devices(self, standalone: dict[str, Places]) -> Choice | Lack:
        ready = self._match(rebindable=False)
        if len(ready) == len(self._device_wants):
            places = {want["key"]: self._places(want, ready[want["key"]]) or {} for want in self._device_wants}
            return Choice(ready, standalone | places)
        with_rebinds = self._match(rebindable=True)
        if len(with_rebinds) == len(self._device_wants):
            rebind = tuple(sorted(with_rebinds.values()))
            names = ", ".join(name for name in rebind if not self._is_ready(name))
            reason = f"{names}: the driver of this code version is connected first."
            return Lack(reason, rebind=rebind, keep=self._with_partners(rebind))
        return Lack(self._shortage(with_rebinds))

    @cached_property
    def _device_wants(self) -> list[Want]:
        return [want for want in self.request["wants"] if want["kind"] != "none"]

    def _match(self, *, rebindable: bool) -> dict[str, str]:
        """As many wants as possible with a device of their own each, by augmenting paths."""
        options = {want["key"]: self._options(want, rebindable=rebindable) for want in self._device_wants}
        owner: dict[str, str] = {}

        def place(key: str, tried: set[str]) -> bool:
            for device in options[key]:
                if device not in tried:
                    tried.add(device)
                    if device not in owner or place(owner[device], tried):
                        owner[device] = key
                        return True
            return False

        # The pickiest first: a want of one named device keeps it from a want of any of its class.
        for key in sorted(options, key=lambda key: len(options[key])):
            place(key, set())
        return {key: device for device, key in owner.items()}

    def _options(self, want: Want, *, rebindable: bool) -> list[str]:
        usable = [
            name
            for name in self._named(want)
            if (self._is_ready(name) or (rebindable and self._is_rebindable(name)))
            and self._places(want, name) is not None
        ]
        return sorted(usable, key=lambda name: (not self._holds(name), self.situation.crowd.get(name, 0), _order(name)))

    def _named(self, want: Want) -> list[str]:
        name = want["name"] or ""
        return [name] if want["kind"] == "device" else self.definitions.devices_of_class(name)

    def _holds(self, name: str) -> bool:
        device = self.situation.devices.get(name)
        return device is not None and device["holder"] == self.request["task"]

    def _is_ready(self, name: str) -> bool:
        return self._obstacle(name) is None

    def _is_rebindable(self, name: str) -> bool:
        device = self.situation.devices.get(name)
        return (
            device is not None
            and device["state"] in (DeviceState.FREE, DeviceState.REBINDING)
            and self._outside(device) is None
            and not self._fails(device)
        )

    def _fails(self, device: Device) -> bool:
        """Whether the driver of this code version was tried and did not connect."""
        failed = device.get("failed_digest")
        return failed is not None and failed == self.definitions.drivers.get(device["_id"])

    def _with_partners(self, names: Sequence[str]) -> frozenset[str]:
        """The devices and all that share a handle with one of them, now or in the version to come."""
        now = {self.situation.devices[name]["group"] for name in names}
        then = {self.definitions.devices[name]["group"] for name in names}
        sharing = {name for name, device in self.situation.devices.items() if device["group"] in now}
        return frozenset(sharing.union(names, *(self.definitions.groups()[group] for group in then)))

    def _obstacle(self, name: str) -> str | None:
        """Why the device cannot be granted now, or None."""
        device = self.situation.devices.get(name)
        if device is None:
            return "is not connected yet"
        expected = DeviceState.GRANTED if self._holds(name) else DeviceState.FREE
        outside = None if self._holds(name) else self._outside(device)
        if outside is not None:
            return outside
        if device["state"] != expected:
            return f"is {device['state']}"
        if self._fails(device):
            return f"does not connect with the driver of this code version ({device['error']})"
        binding = device["binding"]
        if binding is None or binding["digest"] != self.definitions.drivers.get(name):
            return "is connected with the driver of another code version"
        return None

    def _outside(self, device: Device) -> str | None:
        if device["holder"] is not None:
            return f"is held by task {device['holder']}"
        if device["paused"]:
            return "is paused"
        return "is kept for a request that comes first" if device["_id"] in self.situation.reserved else None

    def _places(self, want: Want, device: str | None) -> Places | None:
        """Free places on the device (None: standalone or named in full) for each prefix, or None when short."""
        chosen: Places = {}
        taken = set(self.taken)
        # Names in full first: they have no alternative.
        for prefix in sorted(want["positions"], key=lambda prefix: prefix not in self.situation.positions):
            count = want["positions"][prefix]
            free = [name for name in self._candidates(prefix, device) if name not in taken and self._is_free(name)]
            if len(free) < count:
                return None
            chosen[prefix] = sorted(free, key=self._preference)[:count]
            taken.update(chosen[prefix])
        return chosen

    def _candidates(self, prefix: str, device: str | None) -> list[str]:
        exact = self.situation.positions.get(prefix)
        if exact is not None and device in (None, exact["device"]):
            return [prefix]
        places = self.definitions.standalone_positions() if device is None else self._of_device(device)
        return [name for each, name in places if each == prefix]

    def _of_device(self, device: str) -> list[tuple[str, str]]:
        return self.definitions.device_positions(device) if device in self.definitions.devices else []

    def _is_free(self, name: str) -> bool:
        position = self.situation.positions.get(name)
        occupant = self.situation.occupants.get(name)
        return (
            position is not None
            and position["holder"] in (None, self.request["task"])
            and (occupant is None or occupant in self.own_samples)
        )

    def _preference(self, name: str) -> tuple[bool, bool, list[str | int]]:
        held = self.situation.positions[name]["holder"] is not None
        return not held, name not in self.situation.occupants, _order(name)

    def _hopeless(self) -> Iterator[str]:
        version = self.definitions.snapshot[:12]
        for want in self.request["wants"]:
            names = [None] if want["kind"] == "none" else self._known(want)
            if not names:
                yield f"Code version {version} defines no device {_short(want['name'])!r}; correct the request."
            for prefix, count in want["positions"].items():
                if names and all(self._room(prefix, name) < count for name in names):
                    where = "standalone" if want["kind"] == "none" else _short(want["name"])
                    yield f"There are not {count} places {prefix!r} ({where}) in code version {version}."

    def _known(self, want: Want) -> list[str]:
        return [name for name in self._named(want) if name in self.definitions.devices]

    def _room(self, prefix: str, device: str | None) -> int:
        places = self.definitions.standalone_positions() if device is None else self._of_device(device)
        exact = prefix in self.situation.positions or any(name == prefix for _, name in places)
        return 1 if exact else sum(each == prefix for each, _ in places)

    def _shortage(self, matched: Mapping[str, str]) -> str:
        unmet = next(want for want in self._device_wants if want["key"] not in matched)
        told = [f"{name} {self._obstacle(name) or self._crowded(unmet, name)}" for name in self._named(unmet)]
        return f"No {_short(unmet['name'])} can be granted: {'; '.join(told)}."

    def _crowded(self, want: Want, name: str) -> str:
        if self._places(want, name) is None:
            return f"has not enough free places ({_words(want)})"
        return "is needed for another part of the request"


def _words(want: Want) -> str:
    return ", ".join(f"{count} x {prefix}" for prefix, count in want["positions"].items())


def _short(name: str | None) -> str:
    return (name or "").rpartition(":")[2]


def _order(name: str) -> list[str | int]:
    """Sorts ``slot/10`` after ``slot/2``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
