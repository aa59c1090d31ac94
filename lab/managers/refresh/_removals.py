"""What new code no longer defines although it is in use."""

from __future__ import annotations

from lab.catalog import Definitions
from lab.records import DeviceState, Document, Records


def removed_in_use(records: Records, before: Definitions, after: Definitions) -> list[Document]:
    """``{name, why}`` of each device that a task holds and each position in which a sample stands."""
    return [*_devices(records, before, after), *_positions(records, before, after)]


def places(definitions: Definitions) -> set[str]:
    """The names of all places, on devices and standing alone."""
    on_devices = (place for device in definitions.devices for _, place in definitions.device_positions(device))
    return {*on_devices, *(place for _, place in definitions.standalone_positions())}


def _devices(records: Records, before: Definitions, after: Definitions) -> list[Document]:
    removed = sorted(set(before.devices) - set(after.devices))
    held = records.devices.find({"_id": {"$in": removed}, "state": DeviceState.GRANTED}, sort=[("_id", 1)])
    return [{"name": device["_id"], "why": f"{_kind(records, device['holder'])} holds it"} for device in held]


def _kind(records: Records, task_id: str | None) -> str:
    task = records.tasks.find_one({"_id": task_id})
    return f"{task['type']} {task_id}" if task else "a task"


def _positions(records: Records, before: Definitions, after: Definitions) -> list[Document]:
    removed = sorted(places(before) - places(after))
    samples = records.samples.find({"position": {"$in": removed}}, sort=[("position", 1)])
    return [{"name": sample["position"], "why": f"sample {sample['name']} stands there"} for sample in samples]
