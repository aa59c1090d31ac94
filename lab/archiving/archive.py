"""Copies experiments into the archive, with everything about them and the code that made them.

The archive is complete in itself: its database is a depot of code, too. So what is archived can leave the laboratory,
and the code behind a sample can still be fetched back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from pymongo.database import Database

from hotswap.depot import Depot
from hotswap.errors import DamagedError, HotswapError, UnknownSnapshotError
from hotswap.store import Store
from lab.archiving.documents import ArchiveError, copy
from lab.records import ENDED, Document, ExperimentStatus, Records, Task, now
from lab.refusals import ConflictError, NotFoundError
from lab.results.result_files import BUCKET as RESULTS

ABOUT_TASKS: Final = ("calls", "requests", "prompts", "task_logs")
"""The collections whose documents name a ``task``."""

Counts = dict[str, int]


class Archive:
    """Experiments of ``records``, and code of ``store``, into the database ``target``."""

    def __init__(self, records: Records, store: Store, target: Database[Document]) -> None:
        self._records = records
        self._source = records.database
        self._store = store
        self._target = target
        self._code = Depot(target, "the archive")

    def due(self, after: timedelta = timedelta()) -> list[str]:
        """The experiments that ended that long ago, and are not archived as they are now; the oldest first."""
        ended = {"status": {"$ne": ExperimentStatus.RUNNING}, "completed_at": {"$lte": now() - after}}
        found = self._source["experiments"].find(ended, sort=[("completed_at", 1)])
        return [each["_id"] for each in found if not is_archived(each)]

    def check(self, experiment_id: str) -> None:
        """Raise NotFoundError for no experiment, ConflictError for one that has not ended."""
        experiment = self._records.experiments.find_one({"_id": experiment_id}, {"status": 1})
        if experiment is None:
            raise NotFoundError(f"There is no experiment {experiment_id!r}; `lab experiments` lists them.")
        unfinished = {"experiment": experiment_id, "status": {"$nin": list(ENDED)}}
        if experiment["status"] == ExperimentStatus.RUNNING or self._records.tasks.find_one(unfinished, {"_id": 1}):
            raise ConflictError(f"Experiment {experiment_id} has not ended; only those that have are archived.")

    def add(self, experiment_id: str) -> Counts:
        """Copy an experiment and compare what was written; how many documents of each kind. Again is harmless.

        The experiment itself comes last: what an interrupted copy left is not taken for one. Raises as `check`, and
        ArchiveError.
        """
        self.check(experiment_id)
        begun = now()
        tasks = list(self._records.tasks.find({"experiment": experiment_id}))
        counts = {"code": sum([self._add_snapshot(snapshot) for snapshot in _snapshots(tasks)])}
        ids = [task["_id"] for task in tasks]
        for name in ABOUT_TASKS:
            counts[name] = copy(self._source, self._target, name, {"task": {"$in": ids}})
        counts["signals"] = sum(self._add_signals(task) for task in tasks)
        counts["results"] = self._add_results(experiment_id)
        for name in ("tasks", "samples"):
            counts[name] = copy(self._source, self._target, name, {"experiment": experiment_id})
        self.check(experiment_id)  # somebody may have had a task run again
        counts["experiments"] = copy(self._source, self._target, "experiments", {"_id": experiment_id})
        ended = {"_id": experiment_id, "status": {"$ne": ExperimentStatus.RUNNING}}
        self._records.experiments.update_one(ended, {"$set": {"archived_at": begun}})
        self._records.log("experiment.archived", experiment_id, database=self._target.name, **counts)
        return counts

    def holds(self, experiment_id: str) -> bool:
        """Whether the archive has this experiment."""
        return self._target["experiments"].find_one({"_id": experiment_id}, {"_id": 1}) is not None

    def _add_snapshot(self, snapshot: str) -> bool:
        """Whether the archive has it now; what left the store long ago cannot be brought back."""
        copy(self._source, self._target, "definitions", {"_id": snapshot})
        try:
            pushed = self._code.push(self._store, snapshot)
        except (UnknownSnapshotError, DamagedError) as error:
            return self._was_added(snapshot, error)
        if pushed.new and not all(self._code.content(entry.digest) is not None for entry in pushed.snapshot.files):
            raise ArchiveError(f"Code version {snapshot[:12]} is not in the archive as it was written.")
        return True

    def _was_added(self, snapshot: str, error: HotswapError) -> bool:
        try:
            return bool(self._code.resolve(snapshot))
        except UnknownSnapshotError:
            self._records.log("code.not_archived", snapshot, reason=str(error))
            return False

    def _add_signals(self, task: Task) -> int:
        """What was recorded of the devices that a task used, while it did."""
        if task["started_at"] is None:
            return 0
        devices = self._records.calls.distinct("device", {"task": task["_id"]})
        query: dict[str, Any] = {
            "device": {"$in": sorted(devices)},
            "at": {"$gte": task["started_at"], "$lte": task["ended_at"] or now()},
        }
        return copy(self._source, self._target, "signals", query) if devices else 0

    def _add_results(self, experiment_id: str) -> int:
        mine = {"metadata.experiment": experiment_id}
        files = [each["_id"] for each in self._source[f"{RESULTS}.files"].find(mine, {"_id": 1})]
        copy(self._source, self._target, f"{RESULTS}.chunks", {"files_id": {"$in": files}})
        return copy(self._source, self._target, f"{RESULTS}.files", mine)


def is_archived(experiment: Document) -> bool:
    """Whether it has been archived since it ended; a task that is run again ends it anew."""
    archived, ended = experiment.get("archived_at"), experiment.get("completed_at")
    return archived is not None and ended is not None and bool(archived >= ended)


def _snapshots(tasks: Iterable[Task]) -> list[str]:
    found = {pin["snapshot"] for task in tasks for pin in (task["pin"], *task["attempts"]) if pin}
    return sorted(found)
