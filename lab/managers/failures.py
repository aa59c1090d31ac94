"""Devices that new code did not connect: noted with its refresh, which is rolled back where that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from hotswap.cutover import Outcome
from hotswap.errors import HotswapError
from hotswap.generations import Generation, Generations
from lab.catalog import Catalog
from lab.managers.bus import Bus, Manager
from lab.records import Device, DeviceState, Document, Records, now

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0

RollBack = Callable[[int, int], Document]


class FailureManager(Manager):
    """``roll_back(to, from_)`` goes back to a generation if the other is still current; None: nobody does.

    A generation is rolled back once: one that is itself a roll back stays.
    """

    def __init__(self, records: Records, catalog: Catalog, bus: Bus, roll_back: RollBack | None) -> None:
        super().__init__("failure manager", pause=0.25)
        self._records = records
        self._catalog = catalog
        self._generations = Generations(records.database)
        self._roll_back = roll_back
        bus.subscribe("devices", self.wake, {"state", "failed_digest"})

    def reconcile(self) -> float | None:
        current = self._generations.current()
        failed = [] if current is None else self._failed(current)
        if current is None or not failed:
            return None
        noted = [self._note(current, device) for device in failed]
        if not all(noted):
            return _RETRY_SECONDS
        if self._roll_back is not None and current.rolled_back_to is None and current.number > 1:
            self._go_back(current, failed, self._roll_back)
        return None

    def _failed(self, current: Generation) -> list[Device]:
        """Those that were tried with their current driver, and are back with the one before, or in error."""
        drivers = self._catalog.get(current.snapshot).drivers
        settled = {"failed_generation": current.number, "state": {"$ne": DeviceState.REBINDING}}
        found = self._records.devices.find({**settled, "failed_digest": {"$ne": None}}, sort=[("_id", 1)])
        return [device for device in found if device.get("failed_digest") == drivers.get(device["_id"])]

    def _note(self, current: Generation, device: Device) -> bool:
        """Whether it stands with the refresh now; one that is just ending is waited for."""
        name = device["_id"]
        refresh = {"generation": current.number, "outcome": str(Outcome.LIVE)}
        in_error = device["state"] == DeviceState.ERROR
        entry = {"device": name, "reason": device["error"], "in_error": in_error, "at": now()}
        fresh = {**refresh, "failures.device": {"$ne": name}}
        if self._records.refreshes.update_one(fresh, {"$push": {"failures": entry}}).modified_count:
            self._records.log("refresh.device_failed", name, **entry | refresh)
        return self._records.refreshes.find_one({**refresh, "failures.device": name}, {"_id": 1}) is not None

    def _go_back(self, current: Generation, failed: list[Device], roll_back: RollBack) -> None:
        told = "; ".join(f"{device['_id']}: {device['error']}" for device in failed)
        reason = f"Generation {current.number} was rolled back, because devices did not connect with it ({told})."
        try:
            made = roll_back(current.number - 1, current.number)
        except HotswapError as error:
            log.warning("Generation %d was not rolled back: %s", current.number, error)
            return
        log.warning("%s", reason)
        self._records.refreshes.update_one({"_id": made["_id"]}, {"$set": {"reason": reason}})
        self._records.log("generation.rolled_back", str(current.number), reason=reason)
