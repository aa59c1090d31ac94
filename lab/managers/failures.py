"""Devices that new code did not connect: noted with its refresh, which is rolled back where that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from hotswap.cutover import NotCutOverError, Outcome
from hotswap.errors import HotswapError, UnreachableError
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
        if self._roll_back is None or not self._may_go_back(current):
            return None
        return self._go_back(current, failed, self._roll_back)

    def _failed(self, current: Generation) -> list[Device]:
        """Those that were tried with their current driver, and are back with the one before, or in error."""
        drivers = self._catalog.get(current.snapshot).drivers
        settled = {"failed_generation": current.number, "state": {"$ne": DeviceState.REBINDING}}
        found = self._records.devices.find({**settled, "failed_digest": {"$ne": None}}, sort=[("_id", 1)])
        return [device for device in found if device.get("failed_digest") == drivers.get(device["_id"])]

    def _note(self, current: Generation, device: Device) -> bool:
        """Whether it stands with the refresh now; one that is just ending is waited for."""
        name = device["_id"]
        refresh = _live(current)
        in_error = device["state"] == DeviceState.ERROR
        entry = {"device": name, "reason": device["error"], "in_error": in_error, "at": now()}
        fresh = {**refresh, "failures.device": {"$ne": name}}
        if self._records.refreshes.update_one(fresh, {"$push": {"failures": entry}}).modified_count:
            self._records.log("refresh.device_failed", name, **entry | refresh)
        return self._records.refreshes.find_one({**refresh, "failures.device": name}, {"_id": 1}) is not None

    def _may_go_back(self, current: Generation) -> bool:
        """Not from a roll back, nor when going back was refused: it is tried once, and a person decides then."""
        refused = {**_live(current), "kept_because": {"$exists": True}}
        is_first = current.rolled_back_to is None and current.number > 1
        return is_first and self._records.refreshes.find_one(refused, {"_id": 1}) is None

    def _go_back(self, current: Generation, failed: list[Device], roll_back: RollBack) -> float | None:
        """In how many seconds to try again, if what kept it from going back says nothing about the code."""
        told = "; ".join(f"{device['_id']}: {device['error']}" for device in failed)
        reason = f"Generation {current.number} was rolled back, because devices did not connect with it ({told})."
        try:
            made = roll_back(current.number - 1, current.number)
        except UnreachableError as error:
            log.warning("Generation %d is not rolled back yet: %s", current.number, error)
            return _RETRY_SECONDS
        except HotswapError as error:
            self._keep(current, error)
            return None
        log.warning("%s", reason)
        self._records.refreshes.update_one({"_id": made["_id"]}, {"$set": {"reason": reason}})
        self._records.log("generation.rolled_back", str(current.number), reason=reason)
        return None

    def _keep(self, current: Generation, error: HotswapError) -> None:
        """Note why it stays, unless other code is current by now or these managers end: others try again then."""
        log.warning("Generation %d was not rolled back: %s", current.number, error)
        interrupted = isinstance(error, NotCutOverError) and error.outcome is Outcome.INTERRUPTED
        if interrupted or self._generations.current() != current:
            return
        self._records.refreshes.update_one(_live(current), {"$set": {"kept_because": str(error)}})
        self._records.log("generation.kept", str(current.number), reason=str(error))


def _live(current: Generation) -> Document:
    """The refresh that made a generation current."""
    return {"generation": current.number, "outcome": str(Outcome.LIVE)}
