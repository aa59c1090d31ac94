"""Experiments of one code: with the first of its tasks that is dispatched, an experiment is bound to a snapshot."""

from __future__ import annotations

from typing import Final

from hotswap.generations import Generations
from lab.managers.examination import QUEUED
from lab.records import Pin, Records

_FIELDS: Final = {"pin": 1}


class ExperimentPins:
    """The pin of each experiment, which all its tasks have that are not bound yet."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._states = Generations(records.database).states

    def of(self, experiment: str) -> Pin | None:
        """What the experiment is bound to: by name, or because one of its tasks is pinned; None while it is free."""
        found = self._records.experiments.find_one({"_id": experiment}, _FIELDS)
        if found is not None and (pin := found.get("pin")) is not None:
            return pin
        pinned = {"experiment": experiment, "parent": None, "pin": {"$ne": None}}
        first = self._records.tasks.find_one(pinned, _FIELDS, sort=[("_id", 1)])
        return None if first is None else first["pin"]

    def bind(self, experiment: str, pin: Pin) -> Pin:
        """Bind the experiment, unless it is bound, and its tasks that are not; returns what they are bound to.

        Safe to repeat: a crash leaves tasks without a pin, which their dispatch binds.
        """
        free = {"_id": experiment, "pin": None}
        self._records.experiments.update_one(free, {"$set": {"pin": self.of(experiment) or pin}})
        bound = self.of(experiment) or pin
        self._records.tasks.update_many({**QUEUED, "experiment": experiment}, {"$set": {"pin": bound}})
        self._states.need(bound["snapshot"])
        return bound

    def free(self, experiment: str, pin: Pin) -> bool:
        """Take a binding back that nobody was told of; False when a task of the experiment was begun with that code."""
        begun = {"experiment": experiment, "parent": None, "attempt": {"$gt": 0}}
        if self._records.tasks.find_one(begun, {"_id": 1}) is not None:
            return False
        self._records.experiments.update_one({"_id": experiment, "pin": pin}, {"$set": {"pin": None}})
        self._records.tasks.update_many({**QUEUED, "experiment": experiment, "pin": pin}, {"$set": {"pin": None}})
        return True
