"""Devices: each free one is connected with the driver its next user needs, and no other is ever touched."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final

from hotswap.errors import HotswapError
from hotswap.process import DeathWatch
from hotswap.wire import WireError
from lab.catalog import Catalog, Definitions
from lab.managers._device_group import Claims, GroupManager
from lab.managers._device_plan import Situation, next_step, share_groups
from lab.managers._device_steps import Steps
from lab.managers._drivers import Driver, Drivers, Fleet, process_name
from lab.managers._emergency import Emergency
from lab.managers._inventory import Inventory
from lab.managers._rebinding import Rebinding
from lab.managers._retrying import seconds_until
from lab.managers.barrier_gate import Gate, Passage, gate_of
from lab.managers.bus import Bus, Manager
from lab.managers.changes import Changed
from lab.managers.tasks import Current
from lab.records import Device, DeviceState, Document, Records, TaskStatus
from lab.refusals import ConflictError, NotFoundError

log = logging.getLogger(__name__)

_SURPLUS_SECONDS: Final = 5.0
_OP_SECONDS: Final = 5.0


class DeviceManager(Manager):
    """Decides which share groups have something to do, and has each do it on a thread of its own.

    ``current`` reads the generation new tasks bind to; ``driver_arguments`` are given to every driver process.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bus: Bus,
        *,
        fleet: Fleet,
        watch: DeathWatch,
        current: Current,
        secret: str,
        driver_arguments: Mapping[str, Any],
    ) -> None:
        super().__init__("device manager", pause=0.1)
        self._records = records
        self._catalog = catalog
        self._current = current
        self._inventory = Inventory(records, catalog)
        self._drivers = Drivers(fleet, watch, secret, dict(driver_arguments), lambda _name: self.wake())
        self._groups: dict[str, GroupManager] = {}
        self._claims = Claims()
        self._steps = Steps(records, catalog, self._drivers, self._generation)
        self._emergency = Emergency(records, catalog, self._drivers, self._generation)
        self._rebinding = Rebinding(
            records,
            catalog,
            self._drivers,
            self._steps,
            generation=self._generation,
            current=self._current_generation,
        )
        self._wanted: dict[str, str] = {}
        self._used: tuple[str, frozenset[str]] = "", frozenset()
        self._situation: Situation | None = None
        self._pinned: list[Definitions] = []
        self._known_generation: int | None = None
        self._surplus = True
        self._unswept = True
        bus.subscribe("devices", self.wake, {"state", "paused", "binding", "ailing"})
        bus.subscribe("current_generation", self.wake)
        bus.subscribe("barriers", self.wake, {"step", "outcome"})
        bus.subscribe("tasks", self.wake, {"status": (TaskStatus.READY,), "pin": None}, self._changes)

    def reconcile(self) -> float | None:
        gate = gate_of(self._records.database)  # before what is current: devices arrive at what it was promoted for
        pin = self._current()
        if pin is None:
            return None
        current = self._catalog.get(pin["snapshot"])
        self._look_at_work(pin["generation"])
        self._admit(current, self._pinned)
        devices = list(self._records.devices.find({}))
        if self._surplus:
            self._surplus = self._inventory.dismiss(current) or _has_surplus(devices, current)
        self._situation = self._assess(current, gate)
        if self._wake_groups(devices, self._situation):
            self._unswept = True
        elif self._unswept:
            self._sweep(devices)
            self._unswept = False
        waits = [_SURPLUS_SECONDS] if self._surplus else []
        return min(waits + _until_retries(devices, self._situation), default=None)

    def stop(self) -> None:
        """Stop deciding; devices stay connected."""
        super().stop()
        for group in self._groups.values():
            group.end()

    def shutdown(self) -> None:
        """The end of the whole lab: disconnect every device and end the driver processes."""
        self.stop()
        threads = [threading.Thread(target=self._close, args=(name,)) for name in self._drivers.names()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        idle = {"state": {"$in": [DeviceState.FREE, DeviceState.REBINDING]}}
        gone = {"state": DeviceState.UNBOUND, "binding": None, "rebind_to": None, "hand_over": None, "message": ""}
        self._records.devices.update_many(idle, {"$set": gone, "$inc": {"disconnects": 1}})

    def want(self, drivers: Mapping[str, str]) -> None:
        """Which device should have the driver of which snapshot for a request that comes next, the most urgent first.

        All others should have that of the current one. What was wanted before is void.
        """
        changed, self._wanted = drivers != self._wanted, dict(drivers)
        if changed:
            self.wake()

    def revoke(self, device: str, request: str | None = None) -> None:
        """Take a device away from the attempt that holds it: its calls are refused from now on.

        With ``request``, only if it is held for that one. Raises ConflictError when its driver process does not
        answer, so that nobody knows what it still does.
        """
        held = {"_id": device} if request is None else {"_id": device, "request": request}
        if not self._records.devices.update_one(held, {"$inc": {"fence": 1}}).modified_count:
            return
        document = self._device(device)
        fence = document["fence"]
        driver = self._driver(document)
        if driver is not None:
            self._tell_revoked(driver, device, fence)
        self._records.log("device.revoked", device, fence=fence)

    def pause(self, device: str) -> None:
        """Grant the device to nobody, and do not rebind it, until it is released."""
        self._device(device)
        self._records.devices.update_one({"_id": device}, {"$set": {"paused": True, "paused_by_driver": False}})
        self._records.log("device.paused", device)

    def release(self, device: str) -> None:
        """End a pause; reconnect a device that was stopped, and try again what did not connect.

        Raises RemoteError, and leaves it paused, when the stopped device does not connect; ConflictError when it is
        being connected just now.
        """
        with self._claims.claim([device]) if self._is_moving(device) else nullcontext(True) as ours:
            if not ours:
                raise ConflictError(f"Device {device} is being connected just now; release it in a moment.")
            self._end_pause(self._device(device))
        self._records.log("device.released", device)
        self.wake()

    def _is_moving(self, device: str) -> bool:
        document = self._device(device)
        return document["state"] == DeviceState.REBINDING and document.get("stopped", False)

    def _end_pause(self, document: Device) -> None:
        device = document["_id"]
        if document.get("stopped") and document["state"] == DeviceState.REBINDING:
            self._records.devices.update_one(  # what was stopped does not go on where it was
                {"_id": device, "hand_over": {"$ne": None}}, {"$set": {"hand_over.state": None}}
            )
        elif document.get("stopped"):
            self._reconnect(document)
        fields = {"paused": False, "paused_by_driver": False, "stopped": False, "failed_digest": None}
        self._records.devices.update_one({"_id": device}, {"$set": fields})
        broken = {"_id": device, "state": DeviceState.ERROR}
        afresh = {"state": DeviceState.UNBOUND, "error": None, "retry": None}
        self._records.devices.update_one(broken, {"$set": afresh})

    def emergency_stop(self, device: str) -> bool:
        """Pause a device and stop it at once; whether it has stopped already (else it is stopping).

        A driver process that does not react is killed, and the stop is given to a new one. Raises HotswapError when
        the device could not be stopped; it is paused all the same.
        """
        self._device(device)
        stop = {"$set": {"paused": True, "paused_by_driver": False, "stopped": True}, "$inc": {"stops": 1}}
        self._records.devices.update_one({"_id": device}, stop)
        self._records.log("device.paused", device)
        stopped = self._emergency.stop(self._device(device))
        self._records.log("device.emergency_stop", device, stopped=stopped)
        self.wake()  # a process may have been replaced for it
        return stopped

    def _admit(self, current: Definitions, pinned: list[Definitions]) -> None:
        """See to it that what is in use is there, also for a retried task whose devices have retired since."""
        _, admitted = self._used
        for definitions in (current, *pinned):
            if definitions.snapshot not in admitted:
                self._inventory.admit(definitions)
        used = current.snapshot, frozenset(each.snapshot for each in (current, *pinned))
        self._surplus |= used != self._used
        self._used = used

    def _reconnect(self, device: Device) -> None:
        """An emergency stop may have cut off the hardware: only a new connection tells that it is there again."""
        driver = self._driver(device)
        if driver is None:
            return
        try:
            driver.call("disconnect", device["_id"])
        except ConnectionError:
            return  # its process has ended since, and the next one connects it
        gone = {"$inc": {"disconnects": 1}, "$set": {"message": ""}}
        self._records.devices.update_one({"_id": device["_id"]}, gone)
        self._steps.connect(device, driver)
        self._steps.connected(device, driver)

    def unsettled(self) -> list[str]:
        """The devices that are not yet as the code that is current, and the barrier if there is one, want them."""
        gate = gate_of(self._records.database)
        pin = self._current()
        if pin is None:
            return []
        situation = self._assess(self._catalog.get(pin["snapshot"]), gate)
        devices = list(self._records.devices.find({}, sort=[("_id", 1)]))
        busy = [group for group in share_groups(devices, situation) if next_step(group, situation) is not None]
        missing = set(situation.current.devices) - {device["_id"] for device in devices}
        return sorted(missing.union(device["_id"] for group in busy for device in group))

    def running(self) -> dict[str, str]:
        """The devices that nobody holds and that are in motion all the same -> what they do."""
        found = {}
        for device in self._records.devices.find({"state": DeviceState.FREE, "paused": False}):
            try:
                if self._steps.is_running(device):
                    found[device["_id"]] = "is running"
            except (OSError, HotswapError) as error:
                log.info("Whether device %s is running is not known: %s", device["_id"], error)
                found[device["_id"]] = "does not tell whether it is running"
        return found

    def _assess(self, current: Definitions, gate: Gate) -> Situation:
        leaving = gate.passage in (Passage.LEAVING, Passage.AWAY)
        return Situation(
            current=current,
            wanted={device: self._catalog.get(snapshot) for device, snapshot in self._wanted.items()},
            verified=self._drivers.verified,
            pinned=self._pinned,
            passage=gate.passage,
            coming=self._catalog.get(gate.target) if leaving else None,
        )

    def _wake_groups(self, devices: list[Device], situation: Situation) -> bool:
        """Wake those with something to do; whether there were any."""
        busy = [group for group in share_groups(devices, situation) if next_step(group, situation) is not None]
        for group in busy:
            self._group(min(device["_id"] for device in group)).wake()
        return bool(busy)

    def _group(self, name: str) -> GroupManager:
        if name not in self._groups:
            self._groups[name] = GroupManager(
                name, self._claims, self._records, self._drivers, self._steps, self._rebinding, lambda: self._situation
            )
            self._groups[name].start()
        return self._groups[name]

    def _look_at_work(self, generation: int) -> None:
        """Which other code is in use; that changes with the generation, and when a task is pinned to other code."""
        changed = self._changes.take()
        if generation != self._known_generation:
            self._forget_failures(generation)
        if generation != self._known_generation or changed.everything or self._surplus or self._any_pinned(changed):
            self._pinned = self._inventory.pinned()
        self._known_generation = generation

    def _any_pinned(self, changed: Changed) -> bool:
        """Whether one of these tasks is pinned to code that is not in use yet."""
        names = sorted(changed.of("tasks"))
        news = {"_id": {"$in": names}, "pin.snapshot": {"$nin": [None, *self._used[1]]}}
        return bool(names) and self._records.tasks.find_one(news, {"_id": 1}) is not None

    def _forget_failures(self, generation: int) -> None:
        """A new generation is reason to try drivers again that did not connect."""
        query = {"failed_digest": {"$ne": None}, "failed_generation": {"$ne": generation}}
        self._records.devices.update_many(query, {"$set": {"failed_digest": None, "retry": None}})

    def _current_generation(self) -> int:
        pin = self._current()
        return 0 if pin is None else pin["generation"]

    def _generation(self, snapshot: str) -> int:
        pin = self._current()
        if pin is not None and pin["snapshot"] == snapshot:
            return pin["generation"]
        document: Document = self._records.database["snapshots"].find_one({"_id": snapshot}) or {}
        return int(document.get("facts", {}).get("generation", 0))

    def _sweep(self, devices: list[Device]) -> None:
        """End driver processes that no device is bound to or on its way to; called when no group has a step to take."""
        used = {device["binding"]["process"] for device in devices if device["binding"] is not None}
        used |= {self._destination(device) for device in devices if device["state"] == DeviceState.REBINDING}
        for name in set(self._drivers.names()) - used:
            log.info("Driver process %s is not needed any more.", name)
            self._close(name)

    def _destination(self, device: Device) -> str:
        target = device.get("rebind_to")
        return "" if target is None else process_name(self._catalog.get(target).devices[device["_id"]]["group"], target)

    def _close(self, name: str) -> None:
        try:
            self._drivers.stop(name)
        except (HotswapError, OSError) as error:
            log.warning("Driver process %s was not stopped: %s", name, error)

    def _driver(self, device: Device) -> Driver | None:
        return None if device["binding"] is None else self._drivers.bound(device["binding"])

    def _tell_revoked(self, driver: Driver, device: str, fence: int) -> None:
        """A driver process that is gone has forgotten its grants, so that nothing is left to be told."""
        try:
            driver.call("revoke", device, timeout=_OP_SECONDS, fence=fence)
        except ConnectionError as error:
            log.info("Driver process %s is gone: %s", driver.name, error)
        except (OSError, WireError) as error:
            raise ConflictError(
                f"Device {device} was not taken from its holder, because its driver process does not answer ({error}); "
                f"`lab emergency-stop {device}` replaces that process, then try again."
            ) from error

    def _device(self, name: str) -> Device:
        device = self._records.devices.find_one({"_id": name})
        if device is None:
            raise NotFoundError(f"There is no device {name!r}; `lab devices` lists them.")
        return device


def _until_retries(devices: list[Device], situation: Situation) -> list[float]:
    """In how many seconds each device in error is to be tried again."""
    broken = [each for each in devices if each["state"] == DeviceState.ERROR and not each["paused"]]
    waits = [seconds_until(each, situation.at) for each in broken]
    return [wait for wait in waits if wait]


def _has_surplus(devices: list[Device], current: Definitions) -> bool:
    return any(each["_id"] not in current.devices and each["state"] != DeviceState.RETIRED for each in devices)
