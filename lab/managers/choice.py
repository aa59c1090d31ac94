"""Which devices and places a request gets, as a pure function of the documents."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from lab.catalog import Definitions
from lab.records import Device, DeviceState, Position, Request, Sample, Want

Places = dict[str, list[str]]

_TOLD: Final = 6


@dataclass(frozen=True)
class Choice:
    """Everything a request asks for: key of the want -> device, and key -> prefix -> position names."""

    devices: dict[str, str]
    positions: dict[str, Places]

    def places(self) -> list[str]:
        """All position names."""
        return _names(self.positions)


@dataclass(frozen=True)
class Lack:
    """Why a request has to wait. ``rebind`` names the devices it will get once they have the driver of its snapshot.

    ``keep`` names the devices and places that no later request may take meanwhile, or it might wait for ever: what it
    gets once a driver is connected, or once tasks at work give back the rest, which it ``awaits``. ``hopeless``: no
    release will ever help, because the snapshot does not define what is asked for.
    """

    reason: str
    rebind: tuple[str, ...] = ()
    keep: frozenset[str] = frozenset()
    awaits: frozenset[str] = frozenset()
    hopeless: bool = False


@dataclass(frozen=True)
class Situation:
    """The laboratory at one moment.

    ``occupants``: place -> sample in it; ``crowd``: how many samples stand on each device. ``reserved``: device or
    place -> the task it is kept for. ``working``: the tasks that will give back what they hold.
    """

    devices: Mapping[str, Device]
    positions: Mapping[str, Position]
    occupants: Mapping[str, str]
    crowd: Mapping[str, int]
    reserved: Mapping[str, str] = field(default_factory=dict)
    working: Collection[str] = ()

    @classmethod
    def of(
        cls,
        devices: Sequence[Device],
        positions: Sequence[Position],
        samples: Sequence[Sample],
        reserved: Mapping[str, str] | None = None,
        working: Collection[str] = (),
    ) -> Situation:
        """``samples`` are those that stand in a position."""
        places = {position["_id"]: position for position in positions}
        occupants = {sample["position"]: sample["_id"] for sample in samples if sample["position"] is not None}
        crowd = Counter(places[name]["device"] or "" for name in occupants if name in places)
        return cls({device["_id"]: device for device in devices}, places, occupants, crowd, reserved or {}, working)


def choose(
    request: Request, own_samples: Collection[str], situation: Situation, definitions: Definitions
) -> Choice | Lack:
    """Decide a pending request: all of it, or nothing and why.

    A device or place that the task holds already counts as granted. Otherwise a device must be free, not paused and
    bound to the driver that ``definitions`` (of the task's snapshot) gives it; a place must be unheld, and empty or
    occupied by one of ``own_samples``. The emptiest device is preferred.

    What is lacking is waited for in an order, so that every request has its turn and nothing lies idle for long: of
    devices that are held for different times as a rule, those held for longer are kept first.
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
        standalone = self._standalone(self._is_free)
        if standalone is None:
            want = next(want for want in self.request["wants"] if want["kind"] == "none")
            reason = f"The places {_words(want)} are not all free{self._who_has(want, None)}."
            coming = self._standalone(self._is_coming)
            return Lack(reason) if coming is None else self._wait_for_rest(reason, coming, math.inf)
        self.taken.update(_names(standalone))
        return self._with_devices(standalone)

    def _standalone(self, fits: Callable[[str], bool]) -> dict[str, Places] | None:
        chosen: dict[str, Places] = {}
        for want in self.request["wants"]:
            if want["kind"] == "none":
                places = self._places(want, None, fits)
                if places is None:
                    return None
                chosen[want["key"]] = places
        return chosen

    def _with_devices(self, standalone: dict[str, Places]) -> Choice | Lack:
        ready = self._match(self._serves_now)
        if len(ready) == len(self._device_wants):
            return Choice(ready, standalone | self._places_on(ready))
        with_rebinds = self._match(self._serves)
        if len(with_rebinds) == len(self._device_wants):
            rebind = tuple(sorted(with_rebinds.values()))
            names = ", ".join(name for name in rebind if not self._is_ready(name))
            reason = f"{names}: the driver of this code version is connected first."
            places = _names(standalone | self._places_on(with_rebinds))
            return Lack(reason, rebind=rebind, keep=self._with_partners(rebind).union(places))
        return self._wait_for_rest(self._shortage(with_rebinds), standalone, 0.0)

    def _places_on(self, devices: Mapping[str, str]) -> dict[str, Places]:
        """Those that are free come first."""
        return {
            want["key"]: self._places(want, devices[want["key"]], self._is_coming) or {} for want in self._device_wants
        }

    def _wait_for_rest(self, reason: str, standalone: dict[str, Places], slowest: float) -> Lack:
        """What the request keeps while it waits; nothing while a part of what it lacks is not bound to come.

        ``slowest`` is how long something else that it lacks is held as a rule.
        """
        options = self._match(self._will_serve)
        if len(options) < len(self._device_wants):
            return Lack(reason)
        wants = {want["key"]: want for want in self._device_wants}
        lacking = [want for key, want in wants.items() if not self._serves(want, options[key])]
        slowest = max([slowest, *map(self._slowness, lacking)])
        places = self._places_on(options)
        keep = {name for name in _names(standalone) if self._is_at_hand(name)}
        for key, device in options.items():
            # Places are of no use to others while somebody has the device.
            if self._slowness(wants[key]) >= slowest and (self._is_at_hand(device) or self._holds(device)):
                keep.update(name for name in [device, *_names({key: places[key]})] if self._is_at_hand(name))
        if not keep:
            return Lack(reason)
        awaited = {*options.values(), *_names(places), *_names(standalone)} - keep
        return Lack(reason, keep=frozenset(keep), awaits=frozenset(awaited))

    def _is_at_hand(self, name: str) -> bool:
        """Whether nobody holds it, the task itself included."""
        found = self.situation.devices.get(name) or self.situation.positions.get(name)
        return found is not None and found["holder"] is None

    def _serves_now(self, want: Want, name: str) -> bool:
        return self._is_ready(name) and self._places(want, name, self._is_free) is not None

    def _serves(self, want: Want, name: str) -> bool:
        """Whether the device can be had, perhaps with another driver than it has now."""
        return self._is_usable(name) and self._places(want, name, self._is_free) is not None

    def _will_serve(self, want: Want, name: str) -> bool:
        """Whether the device can be had when tasks at work have done with it and its places."""
        coming = self._is_usable(name) or self._is_on_its_way(name)
        return coming and self._places(want, name, self._is_coming) is not None

    def _is_defined(self, want: Want, name: str) -> bool:
        places = want["positions"].items()
        return name in self.definitions.devices and all(self._room(prefix, name) >= count for prefix, count in places)

    def _slowness(self, want: Want) -> float:
        """Seconds that such a device is held as a rule; not known counts as long."""
        devices = [self.situation.devices[name] for name in self._named(want) if name in self.situation.devices]
        typical = [device.get("typical_hold") for device in devices]
        return max((math.inf if each is None else each for each in typical), default=math.inf)

    @cached_property
    def _device_wants(self) -> list[Want]:
        return [want for want in self.request["wants"] if want["kind"] != "none"]

    def _match(self, suits: Callable[[Want, str], bool]) -> dict[str, str]:
        """As many wants as possible with a suitable device of their own each, by augmenting paths."""
        options = {want["key"]: self._options(want, suits) for want in self._device_wants}
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

    def _options(self, want: Want, suits: Callable[[Want, str], bool]) -> list[str]:
        crowd = self.situation.crowd
        return sorted(
            (name for name in self._named(want) if suits(want, name)),
            key=lambda name: (not self._holds(name), not self._is_usable(name), crowd.get(name, 0), _order(name)),
        )

    def _named(self, want: Want) -> list[str]:
        name = want["name"] or ""
        return [name] if want["kind"] == "device" else self.definitions.devices_of_class(name)

    def _holds(self, name: str) -> bool:
        device = self.situation.devices.get(name)
        return device is not None and device["holder"] == self.request["task"]

    def _is_ready(self, name: str) -> bool:
        return self._obstacle(name) is None

    def _is_usable(self, name: str) -> bool:
        return self._is_ready(name) or self._is_rebindable(name)

    def _is_on_its_way(self, name: str) -> bool:
        """Whether it is free for this request when a task that is at work has done with it."""
        device = self.situation.devices.get(name)
        return (
            device is not None
            and device["state"] == DeviceState.GRANTED
            and device["holder"] in self.situation.working
            and device["holder"] != self.request["task"]
            and not device["paused"]
            and name not in self.situation.reserved
            and not self._fails(device)
        )

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
        return self._kept(device["_id"])

    def _kept(self, name: str) -> str | None:
        keeper = self.situation.reserved.get(name)
        return None if keeper is None else f"is kept for task {keeper}, whose request comes first"

    def _places(self, want: Want, device: str | None, fits: Callable[[str], bool]) -> Places | None:
        """Places on the device (None: standalone or named in full) that fit for each prefix, or None when short."""
        chosen: Places = {}
        taken = set(self.taken)
        # Names in full first: they have no alternative.
        for prefix in sorted(want["positions"], key=lambda prefix: prefix not in self.situation.positions):
            count = want["positions"][prefix]
            free = [name for name in self._candidates(prefix, device) if name not in taken and fits(name)]
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
        return self._lack_of(name) is None

    def _is_coming(self, name: str) -> bool:
        """Whether the place is free, or will be when a task that is at work has done with it."""
        if self._is_free(name):
            return True
        position = self.situation.positions.get(name)
        return position is not None and position["holder"] in self.situation.working and self._kept(name) is None

    def _lack_of(self, name: str) -> str | None:
        """Why the place cannot be granted now, or None."""
        position = self.situation.positions.get(name)
        occupant = self.situation.occupants.get(name)
        if position is None:
            return "is not there yet"
        if position["holder"] not in (None, self.request["task"]):
            return f"is held by task {position['holder']}"
        if occupant is not None and occupant not in self.own_samples:
            return f"is taken by sample {occupant}"
        return None if position["holder"] is not None else self._kept(name)

    def _preference(self, name: str) -> tuple[bool, bool, bool, list[str | int]]:
        held = self.situation.positions[name]["holder"] == self.request["task"]
        return not held, not self._is_free(name), name not in self.situation.occupants, _order(name)

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

        if (few := self._too_few()) is not None:
            yield f"Code version {version} has not that many devices {_short(few['name'])!r}; correct the request."

    def _too_few(self) -> Want | None:
        """A want that would get no device of its own even in an idle laboratory."""
        if len(self._device_wants) < 2:
            return None
        matched = self._match(self._is_defined)
        return next((want for want in self._device_wants if want["key"] not in matched), None)

    def _known(self, want: Want) -> list[str]:
        return [name for name in self._named(want) if name in self.definitions.devices]

    def _room(self, prefix: str, device: str | None) -> int:
        places = self.definitions.standalone_positions() if device is None else self._of_device(device)
        exact = prefix in self.situation.positions or any(name == prefix for _, name in places)
        return 1 if exact else sum(each == prefix for each, _ in places)

    def _shortage(self, matched: Mapping[str, str]) -> str:
        unmet = next(want for want in self._device_wants if want["key"] not in matched)
        told = [f"{name} {self._obstacle(name) or self._crowded(unmet, name)}" for name in self._named(unmet)]
        return f"No {_short(unmet['name'])} can be granted: {_few(told)}."

    def _crowded(self, want: Want, name: str) -> str:
        if self._places(want, name, self._is_free) is None:
            return f"has not enough free places ({_words(want)}{self._who_has(want, name)})"
        return "is needed for another part of the request"

    def _who_has(self, want: Want, device: str | None) -> str:
        names = [name for prefix in want["positions"] for name in self._candidates(prefix, device)]
        told = [f"{name} {lack}" for name in names if (lack := self._lack_of(name)) is not None]
        return f": {_few(told)}" if told else ""


def _few(told: Sequence[str]) -> str:
    more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return "; ".join(told[:_TOLD]) + more


def _names(places: Mapping[str, Places]) -> list[str]:
    return [name for each in places.values() for names in each.values() for name in names]


def _words(want: Want) -> str:
    return ", ".join(f"{count} x {prefix}" for prefix, count in want["positions"].items())


def _short(name: str | None) -> str:
    return (name or "").rpartition(":")[2]


def _order(name: str) -> list[str | int]:
    """Sorts ``slot/10`` after ``slot/2``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
