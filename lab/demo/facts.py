"""The figures of the final table, as the database has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hotswap.generations import Generations
from lab.records import Records

SHORT = 12
"""Characters of a commit or a code version that are shown and compared by people."""


@dataclass(frozen=True)
class TaskFacts:
    """One task. ``attempts`` are the outcomes of all its attempts, ``programs`` how many it started on a furnace."""

    name: str
    type: str
    status: str
    generation: int
    commit: str
    version: str
    attempts: tuple[str, ...]
    programs: int


@dataclass(frozen=True)
class DeviceFacts:
    """One device. ``generation`` and ``version`` are those of its driver, None once it is retired."""

    name: str
    state: str
    connects: int
    disconnects: int
    generation: int | None
    version: str | None


@dataclass(frozen=True)
class GenerationFacts:
    """One activation of a code version."""

    number: int
    commit: str
    version: str
    rolled_back_to: int | None


def read_tasks(records: Records, names: Mapping[str, str]) -> dict[str, TaskFacts]:
    """By task id; ``names`` are what the story calls them."""
    return {task: _task(records, task, name) for task, name in names.items()}


def _task(records: Records, task_id: str, name: str) -> TaskFacts:
    task = records.tasks.find_one({"_id": task_id})
    assert task is not None, task_id
    pin = task["pin"]
    return TaskFacts(
        name=name,
        type=task["type"],
        status=task["status"],
        generation=pin["generation"] if pin else 0,
        commit=(pin["commit"] or "") if pin else "",
        version=pin["snapshot"] if pin else "",
        attempts=tuple(attempt["outcome"] for attempt in task["attempts"]),
        programs=programs_started(records, task_id),
    )


def programs_started(records: Records, task_id: str) -> int:
    """How many temperature programs a task gave to a furnace, by the journals of the drivers."""
    return records.calls.count_documents({"task": task_id, "method": "run_program"})


def read_devices(records: Records) -> dict[str, DeviceFacts]:
    """By name."""
    found = {}
    for device in records.devices.find({}, sort=[("_id", 1)]):
        binding = device["binding"]
        found[device["_id"]] = DeviceFacts(
            name=device["_id"],
            state=device["state"],
            connects=device["connects"],
            disconnects=device["disconnects"],
            generation=binding["generation"] if binding else None,
            version=binding["snapshot"] if binding else None,
        )
    return found


def read_generations(generations: Generations) -> dict[str, GenerationFacts]:
    """By number, the oldest first."""
    return {
        str(each.number): GenerationFacts(each.number, each.commit or "", each.snapshot, each.rolled_back_to)
        for each in reversed(generations.history())
    }
