"""Devices that share a handle: one thread has them rebound, restored and retired, however long that takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from hotswap.errors import HotswapError
from lab.managers._device_plan import GiveUp, Restore, Retire, Situation, Step, next_step, share_groups
from lab.managers._device_steps import FAILURES, STATUS_SECONDS, Steps
from lab.managers._drivers import Driver, Drivers
from lab.managers._rebinding import Rebinding
from lab.managers.bus import Manager
from lab.records import Binding, Device, DeviceState, GrantedDevice, Records, Request, RequestStatus

log = logging.getLogger(__name__)

_BUSY_SECONDS: Final = 1.0
_ENDING_SECONDS: Final = 5.0


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

    ``situation`` tells what is wanted; None: nothing yet.
    """

    def __init__(
        self,
        member: str,
        claims: Claims,
        records: Records,
        drivers: Drivers,
        steps: Steps,
        rebinding: Rebinding,
        situation: Callable[[], Situation | None],
    ) -> None:
        super().__init__(f"manager of {member}")
        self._member = member
        self._claims = claims
        self._records = records
        self._drivers = drivers
        self._steps = steps
        self._rebinding = rebinding
        self._situation = situation

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
                if self._situation() is not situation:
                    continue  # what was right before may be wrong now
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
        if isinstance(step, Retire):
            return self._retire(step.device)
        if isinstance(step, GiveUp):
            return self._give_up(step.device)
        if not isinstance(step, Restore):
            return self._rebinding.take(step)
        if step.device["state"] == DeviceState.REBINDING:
            return self._rebinding.resume(step.device)
        self._restore(step.device)
        return True

    # -- restoring ---------------------------------------------------------------------------------------------

    def _restore(self, device: Device) -> None:
        """After a crash of the driver or of the managers: make the document and the driver agree again."""
        binding = device["binding"]
        if binding is not None:
            self._reconnect(device, binding, self._steps.home(device))

    def _reconnect(self, device: Device, binding: Binding, driver: Driver) -> None:
        status = self._steps.status(device, driver)
        if not status["connected"] and not self._connect_again(device, driver):
            return
        moved = {**binding, "address": driver.address}
        self._records.devices.update_one(_same_binding(device), {"$set": {"binding": moved, "error": None}})
        if device["state"] == DeviceState.GRANTED:
            self._grant_again(device, driver)
        self._drivers.verify(driver.name, device["_id"])

    def _connect_again(self, device: Device, driver: Driver) -> bool:
        try:
            self._steps.connect(device, driver)
        except FAILURES as error:
            self._steps.could_not(device, str(error))
            if device["state"] == DeviceState.GRANTED:
                raise NotRestoredError(f"Device {device['_id']} was not connected again: {error}") from error
            return False
        self._steps.connected(device, driver)
        if self._steps.is_stopped(device["_id"]):
            driver.call("emergency_stop", device["_id"], timeout=STATUS_SECONDS)  # it stays stopped until its release
        return True

    def _grant_again(self, device: Device, driver: Driver) -> None:
        """Where driver or task know another fence of the device than its document: tell both a new one.

        Whoever grants tells the driver before the task, so the driver is asked after the task's requests were read.
        """
        name = device["_id"]
        sharing = {"task": device["holder"], "status": RequestStatus.FULFILLED, "grant.devices.device": name}
        requests = list(self._records.requests.find(sharing))
        if device["request"] not in {request["_id"] for request in requests}:
            return  # the grant is still being made, and its maker will see that it was not acknowledged
        told = {entry["fence"] for request in requests for entry in _granted(request, name)}
        if told == {device["fence"]} and self._steps.status(device, driver)["fence"] == device["fence"]:
            return
        fence = device["fence"] + 1
        mine = {"_id": name, "state": DeviceState.GRANTED, "fence": device["fence"]}
        if not self._records.devices.update_one(mine, {"$set": {"fence": fence}}).modified_count:
            return
        driver.call("grant", name, fence=fence, task=device["holder"], timeout=STATUS_SECONDS)
        for request in requests:
            for entry in _granted(request, name):
                entry["fence"], entry["address"] = fence, driver.address
            unmoved = {"_id": request["_id"], "status": RequestStatus.FULFILLED}
            self._records.requests.update_one(unmoved, {"$set": {"grant": request["grant"]}})

    # -- giving up -----------------------------------------------------------------------------------------------

    def _give_up(self, device: Device) -> bool:
        """Whatever ends half-way is undone as an interrupted rebinding is: the device is connected again."""
        if self._steps.change(device, DeviceState.FREE, {"state": DeviceState.REBINDING, "rebind_to": None}):
            self._steps.disconnect(device, self._steps.bound(device))
            self._steps.could_not(device, str(device.get("ailing")))
        return True

    # -- retiring ----------------------------------------------------------------------------------------------

    def _retire(self, device: Device) -> bool:
        if self._steps.is_running(device):
            return False
        if self._steps.change(device, device["state"], {"state": DeviceState.REBINDING, "rebind_to": None}):
            self._steps.disconnect(device, self._steps.bound(device))
            self._steps.change(device, DeviceState.REBINDING, {"state": DeviceState.RETIRED, "binding": None})
            self._records.log("device.disconnected", device["_id"], reason="it is not part of the lab any more")
        return True


def _same_binding(device: Device) -> dict[str, Any]:
    assert device["binding"] is not None
    return {"_id": device["_id"], "binding.process": device["binding"]["process"]}


def _granted(request: Request, device: str) -> list[GrantedDevice]:
    """What a request was granted of a device."""
    grant = request["grant"]
    return [] if grant is None else [entry for entry in grant["devices"] if entry["device"] == device]
