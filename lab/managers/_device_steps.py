"""Single steps of connecting devices: a document changed by compare-and-set, a driver told, what came of it noted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from hotswap.errors import HotswapError, RemoteError
from hotswap.wire import WireError
from lab.catalog import Catalog, Definitions
from lab.managers._drivers import Driver, Drivers
from lab.managers._retrying import next_retry
from lab.records import Device, DeviceState, Document, Records

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 5.0
FAILURES: Final = (HotswapError, OSError)
"""What a driver, its process, or the start of it may raise."""

_MOST_DEATHS: Final = 3

Generation = Callable[[str], int]


class StoppedError(HotswapError):
    """The device was stopped in an emergency, and is not connected until somebody releases it."""


class Steps:
    """``generation`` tells the number of a code version."""

    def __init__(self, records: Records, catalog: Catalog, drivers: Drivers, generation: Generation) -> None:
        self._records = records
        self._catalog = catalog
        self._drivers = drivers
        self._generation = generation

    def change(self, device: Device, before: str, fields: Document, *, paused: bool | None = None) -> bool:
        """Set fields by compare-and-set on the state (and on not being paused)."""
        query: dict[str, Any] = {"_id": device["_id"], "state": before}
        if paused is not None:
            query["paused"] = paused
        return bool(self._records.devices.update_one(query, {"$set": fields}).modified_count)

    def is_stopped(self, name: str) -> bool:
        """Whether it was stopped in an emergency and not released since."""
        return self._records.devices.find_one({"_id": name, "stopped": True}, {"_id": 1}) is not None

    def start(self, name: str, definitions: Definitions) -> Driver:
        """The process that has, or will have, the device in a code version."""
        group = definitions.devices[name]["group"]
        return self._drivers.ensure(group, definitions, self._generation(definitions.snapshot))

    def home(self, device: Device) -> Driver:
        """The process of the driver that the device is bound to, started again if it has ended."""
        binding = device["binding"]
        assert binding is not None, device["_id"]
        definitions = self._catalog.get(binding["snapshot"])
        return self._drivers.ensure(definitions.devices[device["_id"]]["group"], definitions, binding["generation"])

    def bound(self, device: Device) -> Driver | None:
        """As ``home``, but None for one that does not live."""
        return None if device["binding"] is None else self._drivers.at(device["binding"]["process"])

    def status(self, device: Device, driver: Driver) -> Document:
        status: Document = driver.call("status", device["_id"], timeout=STATUS_SECONDS)
        return status

    def is_running(self, device: Device) -> bool:
        driver = self.bound(device)
        return driver is not None and bool(self.status(device, driver)["running"])

    def connect(self, device: Device, driver: Driver) -> None:
        """Raises RemoteError, ConnectionError; DeviceError, told as a RemoteError, when it is stopped meanwhile."""
        known = self._records.devices.find_one({"_id": device["_id"]}, {"stops": 1})
        told = driver.call("connect", device["_id"], stops=0 if known is None else known.get("stops", 0))
        self._records.devices.update_one({"_id": device["_id"]}, {"$set": {"simulated": told["simulated"]}})

    def disconnect(self, device: Device, driver: Driver | None) -> None:
        """Disconnect it, or note that it cannot be reached: who comes next has to cope with that."""
        if driver is None:
            return
        try:
            driver.call("disconnect", device["_id"])
        except (RemoteError, WireError, OSError) as error:
            log.warning("Device %s did not disconnect cleanly: %s", device["_id"], error)
        gone = {"$inc": {"disconnects": 1}, "$set": {"message": ""}}
        self._records.devices.update_one({"_id": device["_id"]}, gone)

    def connected(self, device: Device, driver: Driver) -> None:
        """Note that it is connected again with the driver it is bound to."""
        well = {"message": "", "ailing": None, "retry": None}
        self._records.devices.update_one({"_id": device["_id"]}, {"$inc": {"connects": 1}, "$set": well})
        self._records.log("device.connected", device["_id"], process=driver.name)

    def crashed(self, error: BaseException, driver: Driver) -> bool:
        """Whether the process died rather than the driver raised, and may be tried again: it does not go on dying."""
        return isinstance(error, OSError | WireError) and self._drivers.deaths(driver.name) < _MOST_DEATHS

    def could_not(self, device: Device, reason: str) -> None:
        """The device cannot be connected: it is in error, unless a task holds it, which then has to decide."""
        log.error("Device %s cannot be connected: %s", device["_id"], reason)
        fields: dict[str, Any] = {"error": reason}
        if device["state"] != DeviceState.GRANTED:
            fields |= {"state": DeviceState.ERROR, "binding": None, "rebind_to": None, "hand_over": None}
            fields |= {"retry": next_retry(device), "ailing": None}
        at_it = {"_id": device["_id"], "state": {"$in": [device["state"], DeviceState.REBINDING]}}
        self._records.devices.update_one(at_it, {"$set": fields})
        if device["error"] != reason:
            self._records.log("device.error", device["_id"], reason=reason)
