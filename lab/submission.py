"""A submitted experiment: checked as a whole against the current definitions before anything of it is stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Final

import bson
from bson.errors import BSONError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.catalog import Definitions
from lab.parameters import complaint, did_you_mean, sentence
from lab.records import Document, Experiment, ExperimentStatus, Records, Sample, Task, TaskStatus, new_id, new_task, now
from lab.refusals import SubmissionError

_MAX_BYTES: Final = 12 * 1024 * 1024  # documents of MongoDB end at 16 MB, and results have to fit in too

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SampleInput(_Strict):
    name: Name
    tags: list[str] = []
    metadata: dict[str, Any] = {}


class TaskInput(_Strict):
    """``prev_tasks`` are indexes into the experiment's tasks, ``samples`` names of its samples."""

    type: Name
    parameters: dict[str, Any] = {}
    prev_tasks: list[int] = []
    samples: list[str] = []
    priority: int = Field(default=20, ge=0, le=1000)


class ExperimentInput(_Strict):
    """What a person submits."""

    name: Name
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
    try:
        experiment = ExperimentInput.model_validate(document)
    except ValidationError as error:
        raise SubmissionError(_fault(error)) from error
    _check_names(experiment)
    for number, task in enumerate(experiment.tasks):
        _check_task(number, task, experiment, definitions)
    _check_order(experiment)
    submission = _documents(experiment)
    _check_storable(submission)
    return submission


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        return f"The experiment lacks {where!r}."
    if first["type"] == "extra_forbidden":
        return f"The experiment has an unknown entry {where!r}; remove or correct it."
    reason = first["msg"][:1].lower() + first["msg"][1:]
    return f"The experiment is wrong at {where or 'its root'!r}: {reason}."


def _check_names(experiment: ExperimentInput) -> None:
    names = [("experiment", experiment.name)] + [("sample", sample.name) for sample in experiment.samples]
    for kind, name in names:
        if set(name) & set("$./") or not name.strip():
            raise SubmissionError(f"The name of {kind} {name!r} may not be blank or contain '$', '.' or '/'.")
    twice = [name for name, count in Counter(sample.name for sample in experiment.samples).items() if count > 1]
    if twice:
        raise SubmissionError(f"Two samples are called {twice[0]!r}; give each a name of its own.")


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
        for previous in task.prev_tasks:
            if not 0 <= previous < count:
                raise SubmissionError(
                    f"Task {number} ({task.type}) comes after task {previous}, but tasks are numbered 0 to {count - 1}."
                )
    graph = {number: set(task.prev_tasks) for number, task in enumerate(experiment.tasks)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        path = " -> ".join(str(number) for number in error.args[1])
        raise SubmissionError(
            f"The tasks wait for each other in a circle ({path}); remove one of its prev_tasks."
        ) from (error)


def _documents(experiment: ExperimentInput) -> Submission:
    experiment_id = new_id()
    samples = {sample.name: _sample(sample, experiment_id) for sample in experiment.samples}
    task_ids = [new_id() for _ in experiment.tasks]
    tasks = [
        _task(task, experiment_id, task_ids[number], [task_ids[i] for i in dict.fromkeys(task.prev_tasks)], samples)
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
    if not previous:
        document["status"] = TaskStatus.READY
        document["ready_at"] = document["created_at"]
    return document


def _sample(sample: SampleInput, experiment: str) -> Sample:
    return Sample(
        _id=new_id(),
        name=sample.name,
        experiment=experiment,
        position=None,
        tags=sample.tags,
        metadata=sample.metadata,
        history=[],
    )


def _check_storable(submission: Submission) -> None:
    """What BSON cannot carry (integers beyond 64 bits, null bytes in keys) must be refused before the first write."""
    documents: list[Document] = [
        dict(submission.experiment),
        *map(dict, submission.tasks),
        *map(dict, submission.samples),
    ]
    try:
        sizes = [len(bson.encode(document)) for document in documents]
    except (BSONError, OverflowError, UnicodeError) as error:
        raise SubmissionError(f"The experiment holds a value that cannot be stored: {error}.") from error
    if max(sizes) > _MAX_BYTES:
        raise SubmissionError(f"One part of the experiment has {max(sizes)} bytes; {_MAX_BYTES} are allowed.")
