"""Keeps the documents of devices and positions in step with what the code versions in use define."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from lab.catalog import Catalog, Definitions
from lab.records import NEEDING, Device, DeviceState, Position, Records


class Inventory:
    """Adds what is new at once, takes away what is gone when nothing needs it any more."""

    def __init__(self, records: Records, catalog: Catalog) -> None:
        self._records = records
        self._catalog = catalog

    def pinned(self) -> list[Definitions]:
        """The definitions that unfinished tasks are pinned to, also those that still wait for others."""
        bound = {"status": {"$in": list(NEEDING)}, "pin": {"$ne": None}}
        snapshots = {task["pin"]["snapshot"] for task in self._records.tasks.find(bound, {"pin": 1}) if task["pin"]}
        return [self._catalog.get(snapshot) for snapshot in sorted(snapshots)]

    def admit(self, definitions: Definitions) -> None:
        """Add the devices and positions that are new, and take retired ones into service again."""
        known = {device["_id"]: device["state"] for device in self._records.devices.find({}, {"state": 1})}
        for name in definitions.devices:
            if name not in known:
                self._insert_device(name, definitions)
            elif known[name] == DeviceState.RETIRED:
                retired = {"_id": name, "state": DeviceState.RETIRED}
                self._records.devices.update_one(retired, {"$set": _facts(name, definitions) | _FRESH})
        self._admit_positions(definitions)

    def dismiss(self, current: Definitions) -> bool:
        """Delete positions that no code in use defines and that are empty; whether some have to wait."""
        defined = set(_places(current))
        used = {place for each in self.pinned() for place in _places(each)}
        waiting = False
        for position in self._records.positions.find({"_id": {"$nin": sorted(defined)}}, {"_id": 1}):
            name = position["_id"]
            waiting |= name in used or self._is_occupied(name) or not self._delete_empty(name)
        return waiting

    def _is_occupied(self, position: str) -> bool:
        return self._records.samples.find_one({"position": position}, {"_id": 1}) is not None

    def _delete_empty(self, name: str) -> bool:
        """Who puts a sample there by hand looks for the place once it is put: one of the two sees the other."""
        position = self._records.positions.find_one_and_delete({"_id": name, "holder": None})
        if position is not None and self._is_occupied(name):
            self._records.positions.insert_one(position)
            return False
        return position is not None

    def _insert_device(self, name: str, definitions: Definitions) -> None:
        device = Device(
            _id=name,
            group=definitions.devices[name]["group"],
            type=definitions.devices[name]["class"],
            description=definitions.devices[name]["description"],
            state=DeviceState.UNBOUND,
            binding=None,
            holder=None,
            request=None,
            fence=0,
            paused=False,
            message="",
            connects=0,
            disconnects=0,
            error=None,
            rebind_to=None,
            failed_digest=None,
        )
        try:
            self._records.devices.insert_one(device)
        except DuplicateKeyError:
            return  # another managers process is just being replaced by this one

    def _admit_positions(self, definitions: Definitions) -> None:
        known = {position["_id"] for position in self._records.positions.find({}, {"_id": 1})}
        missing = [place for name, place in _places(definitions).items() if name not in known]
        if missing:
            self._records.positions.insert_many(missing, ordered=False)


_FRESH = {"state": DeviceState.UNBOUND, "failed_digest": None, "error": None}


def _facts(name: str, definitions: Definitions) -> dict[str, object]:
    defined = definitions.devices[name]
    return {"group": defined["group"], "type": defined["class"], "description": defined["description"]}


def _places(definitions: Definitions) -> dict[str, Position]:
    places: list[tuple[str | None, str, str]] = [
        (device, prefix, name)
        for device in definitions.devices
        for prefix, name in definitions.device_positions(device)
    ]
    places += [(None, prefix, name) for prefix, name in definitions.standalone_positions()]
    return {
        name: Position(_id=name, device=device, prefix=prefix, holder=None, request=None)
        for device, prefix, name in places
    }
