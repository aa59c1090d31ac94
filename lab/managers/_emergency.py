"""The emergency stop of a device: in the process that has it, in the one it is on its way to, or by force."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hotswap.errors import HotswapError
from hotswap.wire import WireError
from lab.catalog import Catalog, Definitions
from lab.managers._device_steps import Generation
from lab.managers._drivers import Driver, Drivers, process_name
from lab.records import Device, DeviceState, Records
from lab.refusals import ConflictError, NotFoundError

log = logging.getLogger(__name__)

_STOP_SECONDS: Final = 0.5
_FORCED_SECONDS: Final = 5.0


@dataclass(frozen=True)
class _End:
    """A driver process that may have a device, and what it takes to start its like."""

    driver: Driver
    definitions: Definitions
    generation: int


class Emergency:
    """``generation`` tells the number of a code version."""

    def __init__(self, records: Records, catalog: Catalog, drivers: Drivers, generation: Generation) -> None:
        self._records = records
        self._catalog = catalog
        self._drivers = drivers
        self._generation = generation

    def stop(self, device: Device) -> bool:
        """Stop a device that was paused and marked as stopped; whether it has stopped already (else it is stopping).

        A driver process that does not react is killed, and the stop is given to a new one. Raises HotswapError when
        the device could not be stopped.
        """
        name = device["_id"]
        failure: Exception | None = None
        for end in self._ends(device):
            try:
                return self._stop_at(device, end)
            except (HotswapError, OSError) as error:
                log.warning("Device %s was not stopped in %s: %s", name, end.driver.name, error)
                failure = failure or error
        if failure is None:
            raise NotFoundError(f"Device {name} is not connected, so it cannot be stopped from here; go and look.")
        raise ConflictError(f"Device {name} is paused, but was not stopped ({failure}); go and look.") from failure

    def _ends(self, device: Device) -> Iterator[_End]:
        """The processes that may have the device, the one it is on its way to first."""
        target = device.get("rebind_to") if device["state"] == DeviceState.REBINDING else None
        if target is not None:
            definitions = self._catalog.get(target)
            group = definitions.devices[device["_id"]]["group"]
            if process_name(group, target) in self._drivers.names():
                generation = self._generation(target)
                yield _End(self._drivers.ensure(group, definitions, generation), definitions, generation)
        binding = device["binding"]
        if binding is not None:
            definitions = self._catalog.get(binding["snapshot"])
            yield _End(self._drivers.bound(binding), definitions, binding["generation"])

    def _stop_at(self, device: Device, end: _End) -> bool:
        try:
            return self._tell(device, end.driver, _STOP_SECONDS)
        except (OSError, WireError):
            return self._stop_by_force(device, end)

    def _stop_by_force(self, device: Device, end: _End) -> bool:
        name = device["_id"]
        log.error("Driver process %s does not react; it is killed to stop %s.", end.driver.name, name)
        self._drivers.kill(end.driver.name)
        self._records.devices.update_one({"_id": name}, {"$inc": {"connects": 1}})
        fresh = self._drivers.ensure(end.definitions.devices[name]["group"], end.definitions, end.generation)
        fresh.call("connect", name)
        return self._tell(device, fresh, _FORCED_SECONDS)

    def _tell(self, device: Device, driver: Driver, seconds: float) -> bool:
        return bool(driver.call("emergency_stop", device["_id"], timeout=seconds, stops=device.get("stops", 0)))
