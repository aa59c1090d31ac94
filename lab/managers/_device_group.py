"""Devices that share a handle: one thread connects, rebinds, restores and retires them, however long that takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from hotswap.errors import HotswapError, RemoteError
from hotswap.wire import WireError
from lab.catalog import Catalog, Definitions
from lab.managers._device_plan import Bind, Restore, Retire, Situation, Step, next_step, share_groups
from lab.managers._drivers import Driver, Drivers, process_name
from lab.managers.bus import Manager
from lab.records import Binding, Device, DeviceState, Records, RequestStatus, now

log = logging.getLogger(__name__)

_BUSY_SECONDS: Final = 1.0
_STATUS_TIMEOUT: Final = 5.0
_ENDING_SECONDS: Final = 5.0
_FAILURES: Final = (HotswapError, OSError)

Generation = Callable[[str], int]


class NotRestoredError(HotswapError):
    """A device that a task holds cannot be connected again; it is tried again."""


class Claims:
    """Which devices are in some thread's hands: what one has begun must not look interrupted to another."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def claim(self, names: Collection[str]) -> Iterator[bool]:
        """Whether all of them are the caller's for the time of the block; else none is."""
        with self._lock:
            claimed = self._taken.isdisjoint(names)
            self._taken.update(names if claimed else ())
        try:
            yield claimed
        finally:
            with self._lock:
                self._taken.difference_update(names if claimed else ())


class GroupManager(Manager):
    """Looks after ``member`` and all that shares a handle with it.

    ``situation`` tells what is wanted (None: nothing yet), ``generation`` the number of a code version.
    """

    def __init__(
        self,
        member: str,
        claims: Claims,
        records: Records,
        catalog: Catalog,
        drivers: Drivers,
        *,
        situation: Callable[[], Situation | None],
        generation: Generation,
    ) -> None:
        super().__init__(f"manager of {member}")
        self._member = member
        self._claims = claims
        self._records = records
        self._catalog = catalog
        self._drivers = drivers
        self._situation = situation
        self._generation = generation

    def end(self) -> None:
        """Stop, waiting for the step it is in, but not for ever: connecting may hang."""
        ending = threading.Thread(target=self.stop, daemon=True)
        ending.start()
        ending.join(_ENDING_SECONDS)

    def reconcile(self) -> float | None:
        while True:
            situation = self._situation()
            if situation is None:
                return None
            names = self._members(situation)
            with self._claims.claim(names) as claimed:
                if not claimed:
                    return _BUSY_SECONDS
                devices = list(self._records.devices.find({"_id": {"$in": names}}, sort=[("_id", 1)]))
                step = next_step(devices, situation)
                if step is None:
                    return None
                if not self._take(step):
                    return _BUSY_SECONDS

    def _members(self, situation: Situation) -> list[str]:
        devices = list(self._records.devices.find({}, sort=[("_id", 1)]))
        groups = [[each["_id"] for each in group] for group in share_groups(devices, situation)]
        return next((names for names in groups if self._member in names), [])

    def _take(self, step: Step) -> bool:
        """Carry out a step; False when it has to wait for something that no event tells."""
        if isinstance(step, Restore):
            self._restore(step.device)
            return True
        if isinstance(step, Bind):
            return self._bind(step)
        return self._retire(step)

    # -- restoring ---------------------------------------------------------------------------------------------

    def _restore(self, device: Device) -> None:
        """After a crash of the driver or of the managers: make the document and the driver agree again."""
        if device["state"] == DeviceState.REBINDING and self._arrived(device):
            return
        binding = device["binding"]
        if binding is None:
            self._change(device, DeviceState.REBINDING, state=DeviceState.UNBOUND, rebind_to=None)
            return
        definitions = self._catalog.get(binding["snapshot"])
        driver = self._drivers.ensure(definitions.devices[device["_id"]]["group"], definitions, binding["generation"])
        self._reconnect(device, binding, driver)

    def _arrived(self, device: Device) -> bool:
        """Whether an interrupted rebinding had got as far as connecting the new driver; if so, keep that."""
        target = device.get("rebind_to")
        if target is None:
            return False
        definitions = self._catalog.get(target)
        group = definitions.devices[device["_id"]]["group"]
        if process_name(group, target) not in self._drivers.names():
            return False
        driver = self._drivers.ensure(group, definitions, self._generation(target))
        if not driver.call("status", device["_id"], timeout=_STATUS_TIMEOUT)["connected"]:
            return False
        self._bound(device, definitions, driver)
        return True

    def _reconnect(self, device: Device, binding: Binding, driver: Driver) -> None:
        status = driver.call("status", device["_id"], timeout=_STATUS_TIMEOUT)
        if not status["connected"] and not self._connect_again(device, driver):
            return
        if device["state"] == DeviceState.REBINDING:
            self._change(device, DeviceState.REBINDING, state=DeviceState.FREE, rebind_to=None)
        moved = {**binding, "address": driver.address}
        self._records.devices.update_one(_same_binding(device), {"$set": {"binding": moved, "error": None}})
        if device["state"] == DeviceState.GRANTED and status["fence"] != device["fence"]:
            self._grant_again(device, driver)
        self._drivers.verify(driver.name, device["_id"])

    def _connect_again(self, device: Device, driver: Driver) -> bool:
        self._records.devices.update_one({"_id": device["_id"]}, {"$set": {"message": ""}})  # of a driver that is gone
        try:
            driver.call("connect", device["_id"])
        except _FAILURES as error:
            self._could_not(device, str(error))
            if device["state"] == DeviceState.GRANTED:
                raise NotRestoredError(f"Device {device['_id']} was not connected again: {error}") from error
            return False
        self._records.devices.update_one({"_id": device["_id"]}, {"$inc": {"connects": 1}})
        self._records.log("device.connected", device["_id"], process=driver.name)
        if self._records.devices.find_one({"_id": device["_id"], "stopped": True}, {"_id": 1}):
            driver.call("emergency_stop", device["_id"], timeout=_STATUS_TIMEOUT)  # it stays stopped until its release
        return True

    def _grant_again(self, device: Device, driver: Driver) -> None:
        """A task holds the device and its driver does not know: a new fence, told to the driver, then to the task."""
        held = self._records.requests.find_one({"_id": device["request"], "status": RequestStatus.FULFILLED})
        if held is None:
            return  # the grant is still being made, and its maker will see that it was not acknowledged
        fence = device["fence"] + 1
        mine = {"_id": device["_id"], "state": DeviceState.GRANTED, "fence": device["fence"]}
        if not self._records.devices.update_one(mine, {"$set": {"fence": fence}}).modified_count:
            return
        driver.call("grant", device["_id"], fence=fence, task=device["holder"], timeout=_STATUS_TIMEOUT)
        sharing = {"task": device["holder"], "status": RequestStatus.FULFILLED, "grant.devices.device": device["_id"]}
        for request in self._records.requests.find(sharing):
            grant = request["grant"]
            assert grant is not None, request["_id"]
            for entry in grant["devices"]:
                if entry["device"] == device["_id"]:
                    entry["fence"], entry["address"] = fence, driver.address
            unmoved = {"_id": request["_id"], "status": RequestStatus.FULFILLED}
            self._records.requests.update_one(unmoved, {"$set": {"grant": grant}})

    # -- binding -----------------------------------------------------------------------------------------------

    def _bind(self, step: Bind) -> bool:
        """Connect devices with their drivers in the target, or leave all as they were; False to try again later."""
        target = step.target
        generation = self._generation(target.snapshot)
        groups = [target.devices[device["_id"]]["group"] for device in step.devices]
        new = [self._drivers.ensure(group, target, generation) for group in groups]
        if any(self._running(device) for device in step.devices):
            return False
        reserved: list[Device] = []
        for device in step.devices:
            if not self._change(
                device, device["state"], paused=False, state=DeviceState.REBINDING, rebind_to=target.snapshot
            ):
                self._give_back(reserved)
                return True  # somebody was faster; the next look at the documents tells
            reserved.append(device)
        self._switch(reserved, target, new)
        return True

    def _give_back(self, devices: list[Device]) -> None:
        for device in devices:
            self._change(device, DeviceState.REBINDING, state=device["state"], rebind_to=None)

    def _running(self, device: Device) -> bool:
        old = self._old_driver(device)
        return old is not None and bool(old.call("status", device["_id"], timeout=_STATUS_TIMEOUT)["running"])

    def _old_driver(self, device: Device) -> Driver | None:
        return None if device["binding"] is None else self._drivers.at(device["binding"]["process"])

    def _switch(self, devices: list[Device], target: Definitions, new: list[Driver]) -> None:
        for device in devices:
            self._disconnect(device, self._old_driver(device))
        connected: list[tuple[Device, Driver]] = []
        for device, driver in zip(devices, new, strict=True):
            try:
                driver.call("connect", device["_id"])
            except _FAILURES as error:
                for each in connected:
                    self._disconnect(*each)
                self._fall_back(devices, device, target, str(error))
                return
            connected.append((device, driver))
        for device, driver in connected:
            self._bound(device, target, driver)

    def _disconnect(self, device: Device, driver: Driver | None) -> None:
        if driver is None:
            return
        try:
            driver.call("disconnect", device["_id"])
        except (RemoteError, WireError, OSError) as error:
            log.warning("Device %s did not disconnect cleanly: %s", device["_id"], error)
        gone = {"$inc": {"disconnects": 1}, "$set": {"message": ""}}
        self._records.devices.update_one({"_id": device["_id"]}, gone)

    def _bound(self, device: Device, target: Definitions, driver: Driver) -> None:
        name, old = device["_id"], device["binding"]
        defined = target.devices[name]
        binding = _binding(target, name, driver, self._generation(target.snapshot))
        fields = {
            "state": DeviceState.FREE,
            "binding": binding,
            "rebind_to": None,
            "failed_digest": None,
            "error": None,
            "group": defined["group"],
            "type": defined["class"],
            "description": defined["description"],
        }
        at_it = {"_id": name, "state": DeviceState.REBINDING}
        self._records.devices.update_one(at_it, {"$set": fields, "$inc": {"connects": 1}})
        self._drivers.verify(driver.name, name)
        if old is None:
            self._records.log("device.connected", name, process=driver.name)
        else:
            facts = {"from": old["snapshot"], "to": target.snapshot, "digest": binding["digest"]}
            self._records.log("device.rebound", name, **facts)

    def _fall_back(self, devices: list[Device], culprit: Device, target: Definitions, reason: str) -> None:
        """The new driver did not connect: connect the old ones again."""
        log.warning("Device %s was not rebound: %s", culprit["_id"], reason)
        for device in devices:
            digest = target.drivers[device["_id"]]
            self._records.devices.update_one({"_id": device["_id"]}, {"$set": {"failed_digest": digest}})
            old = self._old_driver(device)
            if old is None:
                self._could_not(device, reason)
                continue
            facts = {"to": target.snapshot, "because_of": culprit["_id"], "reason": reason}
            self._records.log("device.rebind_failed", device["_id"], **facts)
            if self._connect_again(device, old):
                self._change(device, DeviceState.REBINDING, state=DeviceState.FREE, rebind_to=None, error=reason)

    def _could_not(self, device: Device, reason: str) -> None:
        """The device cannot be connected: it is in error, unless a task holds it, which then has to decide."""
        log.error("Device %s cannot be connected: %s", device["_id"], reason)
        fields: dict[str, Any] = {"error": reason}
        if device["state"] != DeviceState.GRANTED:
            fields |= {"state": DeviceState.ERROR, "binding": None, "rebind_to": None}
        at_it = {"_id": device["_id"], "state": {"$in": [device["state"], DeviceState.REBINDING]}}
        self._records.devices.update_one(at_it, {"$set": fields})
        if device["error"] != reason:
            self._records.log("device.error", device["_id"], reason=reason)

    # -- retiring ----------------------------------------------------------------------------------------------

    def _retire(self, step: Retire) -> bool:
        device = step.device
        if self._running(device):
            return False
        if self._change(device, device["state"], state=DeviceState.REBINDING, rebind_to=None):
            self._disconnect(device, self._old_driver(device))
            self._change(device, DeviceState.REBINDING, state=DeviceState.RETIRED, binding=None)
            self._records.log("device.disconnected", device["_id"], reason="it is not part of the lab any more")
        return True

    def _change(self, device: Device, before: str, *, paused: bool | None = None, **fields: Any) -> bool:
        """Set fields by compare-and-set on the state (and on not being paused)."""
        query: dict[str, Any] = {"_id": device["_id"], "state": before}
        if paused is not None:
            query["paused"] = paused
        return bool(self._records.devices.update_one(query, {"$set": fields}).modified_count)


def _same_binding(device: Device) -> dict[str, Any]:
    assert device["binding"] is not None
    return {"_id": device["_id"], "binding.process": device["binding"]["process"]}


def _binding(target: Definitions, device: str, driver: Driver, generation: int) -> Binding:
    return Binding(
        snapshot=target.snapshot,
        generation=generation,
        digest=target.drivers[device],
        process=driver.name,
        address=driver.address,
        bound_at=now(),
    )
