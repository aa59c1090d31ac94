"""What devices measured, as people and programs ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from lab.durations import duration
from lab.records import Document, Records
from lab.refusals import ConflictError, NotFoundError
from lab.signals import Signals

_MOST: Final = 100_000


def signals(records: Records, device: str, query: Mapping[str, str]) -> list[Document]:
    """The values of a device's signals, the oldest first: of the one called ``name``, or of all.

    ``within`` (``2h``) tells of what time span before now; without it the last value of each alone. Raises
    NotFoundError for an unknown device or signal, DurationError, ConflictError when there are too many.
    """
    if records.devices.find_one({"_id": device}, {"_id": 1}) is None:
        raise NotFoundError(f"There is no device {device!r}; `lab devices` lists them.")
    name, within = query.get("name"), query.get("within")
    kept = Signals(records)
    latest = kept.latest(device, name)
    if name is not None and not latest:
        raise NotFoundError(f"Device {device} has recorded no signal {name!r}; `lab signals {device}` lists them.")
    found = latest if within is None else kept.since(device, name, duration(within), _MOST + 1)
    if len(found) > _MOST:
        raise ConflictError(f"Device {device} recorded more than {_MOST} values within {within}; ask for less time.")
    return [asdict(reading) for reading in found]
