"""A submitted experiment: checked as a whole against the current definitions before anything of it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Final, Literal

import bson
from bson.errors import BSONError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.catalog import Definitions
from lab.experiments.parameters import complaint, did_you_mean, sentence
from lab.plain import DEEPEST, MAX_RECORD_BYTES, way_too_deep
from lab.records import (
    PRIORITIES,
    Document,
    Experiment,
    ExperimentStatus,
    Records,
    Sample,
    Task,
    TaskStatus,
    new_id,
    new_task,
    now,
)
from lab.refusals import SubmissionError

_ALTERNATIVES: Final = ("int", "str")  # pydantic's names for what may stand in one place, which is no place in a file
_SHOWN: Final = 6  # parts of a way; who nests hundreds of levels does not read them all

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SampleInput(_Strict):
    """``sample_id`` is a label of the submitter's, kept with the sample."""

    name: Name
    sample_id: Name | None = None
    tags: list[str] = []
    metadata: dict[str, Any] = {}


class TaskInput(_Strict):
    """``task_id`` is a label of the submitter's, kept with the task.

    ``prev_tasks`` are indexes into the experiment's tasks, or such labels; ``samples`` names of its samples.
    """

    type: Name
    task_id: Name | None = None
    parameters: dict[str, Any] = {}
    prev_tasks: list[int | str] = []
    samples: list[str] = []
    priority: int = Field(default=20, ge=PRIORITIES[0], le=PRIORITIES[-1])


class ExperimentInput(_Strict):
    """What a person submits. ``on_failure``: what becomes of the tasks after one that failed or was cancelled."""

    name: Name
    on_failure: Literal["cancel", "continue"] = "cancel"
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    samples: list[SampleInput] = []
    tasks: list[TaskInput] = Field(min_length=1)


@dataclass(frozen=True)
class Submission:
    """The documents of one checked experiment."""

    experiment: Experiment
    tasks: list[Task]
    samples: list[Sample]

    def store(self, records: Records) -> str:
        """Write it, the experiment last: until that is there, managers take no notice of the rest. Returns its id."""
        records.tasks.insert_many(self.tasks)
        if self.samples:
            records.samples.insert_many(self.samples)
        records.experiments.insert_one(self.experiment)
        return self.experiment["_id"]


def check(document: object, definitions: Definitions) -> Submission:
    """Read a submitted experiment and check all of it; raises SubmissionError, one sentence about the first fault."""
    _check_depth(document)
    try:
        experiment = ExperimentInput.model_validate(document)
    except ValidationError as error:
        raise SubmissionError(_fault(error)) from error
    _check_names(experiment)
    _resolve_labels(experiment)
    for number, task in enumerate(experiment.tasks):
        _check_task(number, task, experiment, definitions)
    _check_order(experiment)
    submission = _documents(experiment)
    _check_storable(submission)
    return submission


def _check_depth(document: object) -> None:
    """Before all else: what goes through data level by level, the database too, fails with what is deeper."""
    if (way := way_too_deep(document)) is not None:
        raise SubmissionError(
            f"The experiment is nested more than {DEEPEST} levels deep at {_place(way[:_SHOWN]) + '...'!r}; flatten it."
        )


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = _place([part for part in first["loc"] if part not in _ALTERNATIVES])
    if first["type"] == "missing":
        return f"The experiment lacks {where!r}."
    if first["type"] == "extra_forbidden":
        return f"The experiment has an unknown entry {where!r}; remove or correct it."
    reason = first["msg"][:1].lower() + first["msg"][1:]
    return f"The experiment is wrong at {where or 'its root'!r}: {reason}."


def _place(way: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way).lstrip(".")


def _check_names(experiment: ExperimentInput) -> None:
    names = [("experiment", experiment.name)] + [("sample", sample.name) for sample in experiment.samples]
    for kind, name in names:
        if set(name) & set("$./\0") or not name.strip():
            raise SubmissionError(
                f"The name of {kind} {name!r} may not be blank or contain '$', '.', '/' or a null byte; rename it."
            )
    _check_single("samples are called", "a name", [sample.name for sample in experiment.samples])
    _check_single("samples have the sample_id", "one", [sample.sample_id for sample in experiment.samples])
    _check_single("tasks have the task_id", "one", [task.task_id for task in experiment.tasks])


def _check_single(what: str, noun: str, given: list[str] | list[str | None]) -> None:
    twice = next((each for each, count in Counter(given).items() if count > 1 and each is not None), None)
    if twice is not None:
        raise SubmissionError(f"Two {what} {twice!r}; give each {noun} of its own.")


def _resolve_labels(experiment: ExperimentInput) -> None:
    """Put the index of a task in the place of its label."""
    numbers = {task.task_id: number for number, task in enumerate(experiment.tasks) if task.task_id is not None}
    for number, task in enumerate(experiment.tasks):
        for label in task.prev_tasks:
            if isinstance(label, str) and label not in numbers:
                hint = did_you_mean(label, numbers)
                raise SubmissionError(
                    sentence(f"Task {number} ({task.type}) comes after task {label!r}, which there is not{hint}")
                )
        task.prev_tasks = [numbers[each] if isinstance(each, str) else each for each in task.prev_tasks]


def _check_task(number: int, task: TaskInput, experiment: ExperimentInput, definitions: Definitions) -> None:
    where = f"Task {number} ({task.type})"
    if task.type not in definitions.tasks:
        hint = did_you_mean(task.type, definitions.tasks)
        raise SubmissionError(sentence(f"Task {number} is of an unknown type {task.type!r}{hint}"))
    wrong = complaint(definitions.tasks[task.type]["schema"], task.parameters)
    if wrong is not None:
        raise SubmissionError(sentence(f"{where}: {wrong}"))
    names = {sample.name: sample for sample in experiment.samples}
    for name in task.samples:
        if name not in names:
            hint = did_you_mean(name, names)
            raise SubmissionError(sentence(f"{where} names a sample {name!r} that the experiment does not have{hint}"))
    if len(set(task.samples)) < len(task.samples):
        raise SubmissionError(f"{where} names a sample twice.")


def _check_order(experiment: ExperimentInput) -> None:
    count = len(experiment.tasks)
    for number, task in enumerate(experiment.tasks):
        for previous in _numbers(task):
            if not 0 <= previous < count:
                raise SubmissionError(
                    f"Task {number} ({task.type}) comes after task {previous}, but tasks are numbered 0 to {count - 1}."
                )
    graph = {number: set(_numbers(task)) for number, task in enumerate(experiment.tasks)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        path = " -> ".join(str(number) for number in error.args[1])
        raise SubmissionError(
            f"The tasks wait for each other in a circle ({path}); remove one of its prev_tasks."
        ) from (error)


def _numbers(task: TaskInput) -> list[int]:
    """The tasks before it; labels have been resolved by now."""
    return [each for each in task.prev_tasks if isinstance(each, int)]


def _documents(experiment: ExperimentInput) -> Submission:
    experiment_id = new_id()
    samples = {sample.name: _sample(sample, experiment_id) for sample in experiment.samples}
    task_ids = [new_id() for _ in experiment.tasks]
    tasks = [
        _task(task, experiment_id, task_ids[number], [task_ids[i] for i in dict.fromkeys(_numbers(task))], samples)
        for number, task in enumerate(experiment.tasks)
    ]
    document = Experiment(
        _id=experiment_id,
        name=experiment.name,
        tags=experiment.tags,
        metadata=experiment.metadata,
        samples=[sample["_id"] for sample in samples.values()],
        tasks=task_ids,
        status=ExperimentStatus.RUNNING,
        submitted_at=now(),
        completed_at=None,
        on_failure=experiment.on_failure,
    )
    return Submission(document, tasks, list(samples.values()))


def _task(task: TaskInput, experiment: str, task_id: str, previous: list[str], samples: dict[str, Sample]) -> Task:
    document = new_task(
        task.type,
        task.parameters,
        samples=[samples[name]["_id"] for name in task.samples],
        experiment=experiment,
        previous=previous,
        priority=task.priority,
        task_id=task_id,
    )
    if task.task_id is not None:
        document["label"] = task.task_id
    if not previous:
        document["status"] = TaskStatus.READY
        document["ready_at"] = document["created_at"]
    return document


def _sample(sample: SampleInput, experiment: str) -> Sample:
    document = Sample(
        _id=new_id(),
        name=sample.name,
        experiment=experiment,
        position=None,
        tags=sample.tags,
        metadata=sample.metadata,
        history=[],
    )
    if sample.sample_id is not None:
        document["label"] = sample.sample_id
    return document


def _check_storable(submission: Submission) -> None:
    """What BSON cannot carry (integers beyond 64 bits, null bytes in keys) must be refused before the first write."""
    _check_size("", dict(submission.experiment))
    for kind, documents in (("tasks", submission.tasks), ("samples", submission.samples)):
        for index, document in enumerate(documents):
            _check_size(f"{kind}[{index}].", dict(document))


def _check_size(place: str, document: Document) -> None:
    if (error := _unstorable(document)) is not None:
        where = place + ".".join(_way_to_unstorable(document))
        raise SubmissionError(
            f"The experiment holds at {where!r} a value that cannot be stored: {str(error).rstrip('.')}; change it."
        ) from error
    if (size := len(bson.encode(document))) > MAX_RECORD_BYTES:
        largest = max(document, key=lambda key: len(bson.encode({key: document[key]})))
        raise SubmissionError(
            f"The experiment at {place + largest!r} makes a record of {size} bytes; {MAX_RECORD_BYTES} are allowed."
        )


def _unstorable(document: Document) -> Exception | None:
    """Why the database cannot hold it, or None."""
    try:
        bson.encode(document)
    except (BSONError, OverflowError, UnicodeError) as error:
        return error
    return None


def _way_to_unstorable(value: object) -> list[str]:
    """The keys that lead to what cannot be stored; none where ``value`` itself is that."""
    entries = {str(index): each for index, each in enumerate(value)} if isinstance(value, list) else value
    if not isinstance(entries, dict):
        return []
    for key, inner in entries.items():
        if _unstorable({key: inner}) is not None:
            return [key, *_way_to_unstorable(inner)]
    return []
