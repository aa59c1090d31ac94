"""Samples that were left in a place which somebody waits for: the task that the lab package names takes them away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from blake3 import blake3
from pymongo.errors import DuplicateKeyError

from lab.catalog import Catalog, Definitions
from lab.managers.bus import Bus, Manager
from lab.managers.choice import Choice, Situation, choose
from lab.records import (
    ENDED,
    Document,
    Experiment,
    ExperimentStatus,
    Pin,
    Records,
    Request,
    RequestStatus,
    Sample,
    TaskStatus,
    new_task,
    now,
)

_PRIORITY: Final = 900  # what it needs must not be kept for the very request that waits for it
_MOST: Final = 100
_TAG: Final = "reroute"

Current = Callable[[], Pin | None]

log = logging.getLogger(__name__)


class RerouteManager(Manager):
    """``current`` reads the generation new tasks bind to: its code says what is done where.

    Each sample is taken away once from each place it comes to stand in: what did not work is left to a person.
    """

    def __init__(self, records: Records, catalog: Catalog, bus: Bus, current: Current) -> None:
        super().__init__("reroute manager", pause=0.25)
        self._records = records
        self._catalog = catalog
        self._current = current
        bus.subscribe("requests", self.wake, {"waits_for"})
        bus.subscribe("samples", self.wake, {"position"})
        bus.subscribe("tasks", self.wake, {"status": set(ENDED)})

    def reconcile(self) -> float | None:
        pin = self._current()
        definitions = None if pin is None else self._catalog.get(pin["snapshot"])
        left = {} if definitions is None else self._left(definitions)
        if definitions is None or not left:
            return None
        waiting = {"status": RequestStatus.PENDING, "waits_for": {"$ne": None}}
        order = [("priority", -1), ("created_at", 1)]
        requests = list(self._records.requests.find(waiting, sort=order).limit(_MOST))
        if not requests:
            return None
        situation, going = self._situation(), self._going()

        def clear_the_way(request: Request) -> None:
            for sample in self._in_the_way(request, left, situation, going):
                if self._start(left.pop(sample), request, definitions):
                    going.add(sample)

        self._each(requests, clear_the_way)
        return None

    def _situation(self) -> Situation:
        return Situation.of(
            list(self._records.devices.find()),
            list(self._records.positions.find()),
            list(self._records.samples.find({"position": {"$type": "string"}}, {"position": 1})),
        )

    def _left(self, definitions: Definitions) -> dict[str, Sample]:
        """The samples, by id, that no unfinished task has to do with, in places that something is named for."""
        standing = self._records.samples.find({"position": {"$type": "string"}}) if definitions.reroutes else ()
        found = {each["_id"]: each for each in standing if reroute_from(definitions, each["position"] or "")}
        query = {"samples": {"$in": list(found)}, "status": {"$nin": list(ENDED)}}
        for task in self._records.tasks.find(query, {"samples": 1}) if found else ():
            for sample in task["samples"]:
                found.pop(sample, None)
        return found

    def _in_the_way(
        self, request: Request, left: Mapping[str, Sample], situation: Situation, going: set[str]
    ) -> list[str]:
        """The least of them without which the request could be granted now; none where that would not help."""
        task = self._records.tasks.find_one({"_id": request["task"]}, {"samples": 1})
        gone = going.union(task["samples"] if task is not None else ())
        definitions = self._catalog.get(request["snapshot"])

        def granted_without(samples: set[str]) -> bool:
            return isinstance(choose(request, gone | samples, situation, definitions), Choice)

        needed = set(left)
        if granted_without(set()) or not granted_without(needed):
            return []
        for sample in left:
            if granted_without(needed - {sample}):
                needed.remove(sample)
        return sorted(needed)

    def _going(self) -> set[str]:
        """The samples that are being taken away."""
        running = {"tags": _TAG, "status": ExperimentStatus.RUNNING}
        return {each for found in self._records.experiments.find(running, {"samples": 1}) for each in found["samples"]}

    def _start(self, sample: Sample, request: Request, definitions: Definitions) -> bool:
        """False when it was tried before."""
        reroute = reroute_from(definitions, sample["position"] or "")
        assert reroute is not None, sample["position"]  # only those are looked at that something is named for
        identifier = blake3(f"{sample['_id']} {len(sample['history'])}".encode()).hexdigest(length=12)
        experiment = _experiment(identifier, sample, request)
        task = new_task(
            reroute["task"],
            reroute["parameters"],
            samples=[sample["_id"]],
            experiment=identifier,
            priority=_PRIORITY,
            task_id=experiment["tasks"][0],
        )
        task["status"], task["ready_at"] = TaskStatus.READY, task["created_at"]
        try:
            self._records.tasks.insert_one(task)
            self._records.experiments.insert_one(experiment)
        except DuplicateKeyError:
            return False
        log.info("Sample %s is taken away from %s by %s.", sample["name"], sample["position"], reroute["task"])
        facts = {"position": sample["position"], "task": task["_id"], "for_task": request["task"]}
        self._records.log("sample.rerouted", sample["_id"], **facts)
        return True


def reroute_from(definitions: Definitions, position: str) -> Document | None:
    """What takes a sample away from a place: the first that is registered for it, or for what it is part of."""
    for reroute in definitions.reroutes:
        if any(position == each or position.startswith(f"{each}/") for each in reroute["positions"]):
            return reroute
    return None


def _experiment(identifier: str, sample: Sample, request: Request) -> Experiment:
    return Experiment(
        _id=identifier,
        name=f"reroute of {sample['name']}",
        tags=[_TAG],
        metadata={"position": sample["position"], "for_task": request["task"]},
        samples=[sample["_id"]],
        tasks=[f"{identifier}-1"],
        status=ExperimentStatus.RUNNING,
        submitted_at=now(),
        completed_at=None,
    )
