"""What drivers keep in the database, in a collection of its own: to write there wakes nobody."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypedDict

from pymongo.collection import Collection

from lab.patience import patiently
from lab.records import Records, now

DEVICE_VALUES: Final = "device_values"


class DeviceValue(TypedDict):
    """``_id`` is ``device/name``."""

    _id: str
    device: str
    name: str
    value: Any
    changed_at: datetime


class DeviceValues:
    """Waits for a database that does not answer."""

    def __init__(self, records: Records) -> None:
        self._collection: Collection[DeviceValue] = records.database[DEVICE_VALUES]  # type: ignore[assignment]

    def find(self, device: str, name: str) -> DeviceValue | None:
        return patiently(lambda: self._collection.find_one({"_id": f"{device}/{name}"}))

    def keep(self, device: str, name: str, value: Any) -> None:
        kept = DeviceValue(_id=f"{device}/{name}", device=device, name=name, value=value, changed_at=now())
        patiently(lambda: self._collection.replace_one({"_id": kept["_id"]}, kept, upsert=True))
