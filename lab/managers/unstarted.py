"""What people may do to tasks that have not started: bind them to other code, and change their parameters.

Those that are stopped at a decision can be bound to other code, too: they run from their start with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import bson
from bson.errors import BSONError

from hotswap.generations import Generation, Generations
from lab.catalog import Catalog
from lab.experiments.parameters import complaint, sentence
from lab.managers.commands import RETRIABLE, Commands
from lab.managers.examination import Examiner
from lab.plain import DEEPEST, way_too_deep
from lab.records import ENDED, Document, Edit, Examined, Records, Task, TaskStatus, now, pin_to
from lab.refusals import ConflictError, NotFoundError, SubmissionError

CURRENT: Final = "current"
UNSTARTED: Final = (TaskStatus.WAITING, TaskStatus.READY)
_EVERY: Final = 1_000_000
_SHORT: Final = 12


class Unstarted:
    """``wake`` follows each change. Without an ``examiner`` only schemas are compared.

    ``commands`` have a task run again that is stopped.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        examiner: Examiner | None,
        commands: Commands,
        wake: Callable[[], None],
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._examiner = examiner
        self._commands = commands
        self._wake = wake
        self._generations = Generations(records.database)

    def move_task(self, task_id: str, to: str, actor: str) -> Task:
        """Bind a task that has not started to code that was live: ``current``, or a snapshot by its id or beginning.

        One that is LOST, ABANDONED or failed is retried with that code. It keeps what it holds, so its devices need the
        same driver there. Raises NotFoundError; ConflictError when it is at work, or when its devices have another
        driver or do not answer; SubmissionError when that code does not take it.
        """
        task = self._movable(task_id)
        if task["status"] in RETRIABLE:
            self._move_stopped(task, self._target(to), actor)
        else:
            self._move([task], self._target(to), actor)
        return self._commands.task(task_id)

    def move_experiment(self, experiment_id: str, to: str, actor: str) -> Document:
        """As ``move_task``, for all tasks of an experiment that have not started: ``{moved, snapshot, generation}``.

        Nothing is moved unless that code takes them all. Raises the same errors.
        """
        self._commands.experiment(experiment_id)
        query = {"experiment": experiment_id, "parent": None, "status": {"$in": list(UNSTARTED)}}
        tasks = list(self._records.tasks.find(query, sort=[("_id", 1)]))
        if not tasks:
            raise ConflictError(f"Experiment {experiment_id} has no task that has not started, so none can be moved.")
        target = self._target(to)
        moved = self._move(tasks, target, actor)
        bound = {"_id": experiment_id, "pin": {"$ne": None}}
        self._records.experiments.update_one(bound, {"$set": {"pin": pin_to(target)}})
        return {"moved": moved, "snapshot": target.snapshot, "generation": target.number}

    def edit(self, task_id: str, changes: Mapping[str, Any], removed: Collection[str], actor: str) -> Task:
        """Change parameters of a task that never started, and free it if it was held.

        The code that it is bound to has to take them. Raises as ``move_task``.
        """
        task = self._unstarted(task_id)
        if task["attempt"]:
            raise ConflictError(f"Task {task_id} ran with its parameters before; cancel it and submit a new one.")
        parameters = _edited(task, changes, removed)
        snapshot = task["pin"]["snapshot"] if task["pin"] is not None else self._target(CURRENT).snapshot
        self._check([{**task, "parameters": parameters}], snapshot)
        edit = _difference(task["parameters"], parameters, actor)
        change: Document = {
            "$set": {"parameters": parameters, "examined": _fits(snapshot), "reason": None},
            "$push": {"edits": edit},
        }
        if not self._change(task, change):
            raise _moved_on(task_id)
        self._records.log("task.edited", task_id, actor=actor, before=edit["before"], after=edit["after"])
        self._wake()
        return self._commands.task(task_id)

    def _move(self, tasks: list[Task], target: Generation, actor: str) -> list[str]:
        self._check(tasks, target.snapshot)
        fields = {"pin": pin_to(target), "examined": _fits(target.snapshot), "reason": None}
        moved = [task for task in tasks if self._change(task, {"$set": fields})]
        self._generations.states.need(target.snapshot)
        for task in moved:
            self._log_move(task, target, actor)
        self._wake()
        if not moved:
            raise _moved_on(tasks[0]["_id"])
        return [task["_id"] for task in moved]

    def _move_stopped(self, task: Task, target: Generation, actor: str) -> None:
        self._check([task], target.snapshot)
        self._commands.start_again(task, actor, pin=pin_to(target), examined=_fits(target.snapshot))
        self._log_move(task, target, actor)

    def _log_move(self, task: Task, target: Generation, actor: str) -> None:
        before = task["pin"]["snapshot"] if task["pin"] is not None else None
        self._records.log("task.moved", task["_id"], actor=actor, before=before, snapshot=target.snapshot)

    def _change(self, task: Task, change: Document) -> bool:
        unchanged = {key: task[key] for key in ("_id", "status", "attempt", "pin", "parameters")}
        return self._records.tasks.update_one(unchanged, change).matched_count == 1  # it may be as it is to be

    def _check(self, tasks: list[Task], snapshot: str) -> None:
        """Raises SubmissionError for the first task that the code does not take; ConflictError, see ``_check_held``."""
        for task in tasks:
            self._check_held(task, snapshot)
            known = self._catalog.get(snapshot).tasks.get(task["type"])
            wrong = f"it has no task type {task['type']!r}" if known is None else None
            if known is not None:
                wrong = complaint(known["schema"], task["parameters"])
            if wrong is not None:
                raise _refused(snapshot, task["_id"], wrong)
        objections = self._examiner.objections(snapshot, tasks) if self._examiner is not None else {}
        for task_id, objection in objections.items():
            raise _refused(snapshot, task_id, objection["reason"])

    def _check_held(self, task: Task, snapshot: str) -> None:
        """What a task holds from an earlier attempt keeps its driver: that code has to have the same one."""
        drivers = self._catalog.get(snapshot).drivers
        for device in self._records.devices.find({"holder": task["_id"]}, {"binding.digest": 1}):
            binding = device["binding"]
            if binding is None or binding["digest"] != drivers.get(device["_id"]):
                raise ConflictError(
                    f"Task {task['_id']} still holds {device['_id']} from an earlier attempt, with another driver than "
                    f"code version {snapshot[:_SHORT]} has, so it is not moved; cancel it and submit a new one."
                )

    def _target(self, to: str) -> Generation:
        """The newest generation that is meant: only code that was live has passed the policy."""
        history = self._generations.history(1 if to == CURRENT else _EVERY)
        found = history if to == CURRENT else [each for each in history if to and each.snapshot.startswith(to)]
        if not found:
            raise NotFoundError(f"No code version {to!r} was ever live; `lab versions` lists those that were.")
        if len({each.snapshot for each in found}) > 1:
            raise ConflictError(f"Several code versions begin with {to!r}; give more of the id.")
        return found[0]

    def _movable(self, task_id: str) -> Task:
        task = self._commands.top_level(task_id, "move")
        if task["status"] not in (*UNSTARTED, *RETRIABLE):
            raise ConflictError(
                f"Task {task_id} {_progress(task)} ({task['status']}); only a task that has not started, or that is "
                "LOST, ABANDONED or in ERROR, can be moved."
            )
        return task

    def _unstarted(self, task_id: str) -> Task:
        task = self._commands.top_level(task_id, "edit")
        if task["status"] not in UNSTARTED:
            raise ConflictError(
                f"Task {task_id} {_progress(task)} ({task['status']}); only a task that has not started can be edited."
            )
        return task


def _edited(task: Task, changes: Mapping[str, Any], removed: Collection[str]) -> Document:
    for name in removed:
        if name not in task["parameters"]:
            raise SubmissionError(f"Task {task['_id']} has no parameter {name!r} that could be removed.")
    parameters = {name: value for name, value in task["parameters"].items() if name not in removed} | dict(changes)
    if parameters == task["parameters"]:
        raise SubmissionError(f"Task {task['_id']} has these parameters already; say what to change.")
    if (way := way_too_deep(parameters)) is not None:
        raise SubmissionError(f"Parameter {way[0]!r} is nested more than {DEEPEST} levels deep; flatten it.")
    try:
        bson.encode(parameters)
    except (BSONError, OverflowError, UnicodeError) as error:
        raise SubmissionError(f"The parameters hold a value that cannot be stored: {error}.") from error
    return parameters


def _difference(before: Document, after: Document, actor: str) -> Edit:
    def only(one: Document, other: Document) -> Document:
        return {name: value for name, value in one.items() if name not in other or other[name] != value}

    return Edit(at=now(), actor=actor, before=only(before, after), after=only(after, before))


def _progress(task: Task) -> str:
    return "has ended" if task["status"] in ENDED else "has started"


def _fits(snapshot: str) -> Examined:
    return Examined(snapshot=snapshot, reason=None)


def _refused(snapshot: str, task_id: str, reason: str) -> SubmissionError:
    return SubmissionError(sentence(f"Code version {snapshot[:_SHORT]} does not take task {task_id}: {reason}"))


def _moved_on(task_id: str) -> ConflictError:
    return ConflictError(f"Task {task_id} changed meanwhile; look at it again.")
