"""Experiments written as a program: samples, tasks and their order; kept as JSON or YAML, drawn, submitted.

Imports late: every lab package imports ``lab``, and few of them build experiments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from hotswap.errors import HotswapError
from lab.definitions import BaseTask, check_parameters

Document = dict[str, Any]


class BuildError(HotswapError):
    """An experiment that cannot be written like this."""


@dataclass(eq=False)
class TaskBuilder:
    """One task of an experiment; ``after`` None: after the tasks before it that have its samples."""

    number: int
    type: str
    parameters: Document
    task_id: str | None = None
    priority: int | None = None
    after: tuple[TaskBuilder, ...] | None = None
    samples: list[SampleBuilder] = field(default_factory=list)

    def previous(self) -> list[int]:
        """The numbers of the tasks that must be COMPLETED before it."""
        if self.after is not None:
            return sorted({each.number for each in self.after})
        before = (sample.before(self) for sample in self.samples)
        return sorted({each.number for each in before if each is not None})

    def to_dict(self) -> Document:
        document: Document = {
            "type": self.type,
            "parameters": self.parameters,
            "prev_tasks": self.previous(),
            "samples": [sample.name for sample in self.samples],
        }
        given = {"task_id": self.task_id, "priority": None if self.priority is None else int(self.priority)}
        return document | {key: value for key, value in given.items() if value is not None}


@dataclass(eq=False)
class SampleBuilder:
    """One sample of an experiment; ``tasks`` are those that have it, in order."""

    name: str
    tags: list[str]
    metadata: Document
    tasks: list[TaskBuilder] = field(default_factory=list)

    def add_task(self, task: TaskBuilder) -> None:
        """Have a task of the experiment work on this sample too, after all tasks that it has been given so far.

        Raises BuildError for what is no such task, a ``task_id`` too.
        """
        if not isinstance(task, TaskBuilder):
            raise BuildError(f"Sample {self.name!r} was given {task!r}; give it what add_task of its experiment gave.")
        if task not in self.tasks:
            self.tasks.append(task)
            task.samples.append(self)

    def before(self, task: TaskBuilder) -> TaskBuilder | None:
        """What is done with the sample last before ``task``."""
        position = self.tasks.index(task)
        return self.tasks[position - 1] if position else None

    def to_dict(self) -> Document:
        return {"name": self.name, "tags": self.tags, "metadata": self.metadata}


AnySample: TypeAlias = SampleBuilder | str
AnyTask: TypeAlias = TaskBuilder | str


class ExperimentBuilder:
    """An experiment that is being written. ``tags`` and ``metadata`` are the author's own, and kept with it.

    ``on_failure`` says what becomes of the tasks after one that failed: ``"cancel"``, or ``"continue"`` with the
    samples that remain.
    """

    def __init__(
        self,
        name: str,
        tags: Sequence[str] | None = None,
        *,
        on_failure: Literal["cancel", "continue"] = "cancel",
        **metadata: Any,
    ) -> None:
        self.name = name
        self.tags = list(tags or ())
        self.metadata = _plain(metadata, f"The metadata of experiment {name!r}")
        self.on_failure = on_failure
        self._samples: dict[str, SampleBuilder] = {}
        self._tasks: list[TaskBuilder] = []

    @property
    def samples(self) -> list[SampleBuilder]:
        return list(self._samples.values())

    @property
    def tasks(self) -> list[TaskBuilder]:
        return list(self._tasks)

    def add_sample(self, name: str, tags: Sequence[str] | None = None, **metadata: Any) -> SampleBuilder:
        """Add a sample under a name of its own. Raises BuildError."""
        if name in self._samples:
            raise BuildError(f"There is a sample {name!r} already; give each a name of its own.")
        what = f"The metadata of sample {name!r}"
        self._samples[name] = SampleBuilder(name, list(tags or ()), _plain(metadata, what))
        return self._samples[name]

    def add_task(
        self,
        task: str | type[BaseTask],
        parameters: Mapping[str, Any] | None = None,
        samples: Iterable[AnySample] | AnySample = (),
        *,
        after: Iterable[AnyTask] | AnyTask | None = None,
        task_id: str | None = None,
        priority: int | None = None,
    ) -> TaskBuilder:
        """Add a task, by its class or the name of that, and return it.

        It comes ``after`` the given tasks, named by themselves or their ``task_id``, ``()`` for none; unless that is
        said, after those before it that have its samples. The parameters of a class are checked at once. Raises
        BuildError, and ParameterError.
        """
        kind = task if isinstance(task, str) else task.__name__
        given = _plain(parameters or {}, f"The parameters of {kind}")
        if not isinstance(task, str):
            check_parameters(task, given)
        if task_id is not None and any(each.task_id == task_id for each in self._tasks):
            raise BuildError(f"There is a task {task_id!r} already; give each a task_id of its own.")
        earlier = None if after is None else tuple(map(self._task, _several(after)))
        chosen = [self._sample(each) for each in _several(samples)]
        made = TaskBuilder(len(self._tasks), kind, given, task_id, priority, earlier)
        self._tasks.append(made)
        for sample in chosen:
            sample.add_task(made)
        return made

    def to_dict(self) -> Document:
        """The experiment as it is submitted."""
        document: Document = {
            "name": self.name,
            "tags": self.tags,
            "metadata": self.metadata,
            "samples": [sample.to_dict() for sample in self.samples],
            "tasks": [task.to_dict() for task in self._tasks],
        }
        return document if self.on_failure == "cancel" else document | {"on_failure": self.on_failure}

    def generate_input_file(self, filename: str | Path, fmt: Literal["json", "yaml"] = "json") -> None:
        """Write a file that ``lab submit`` takes. Raises BuildError for another ``fmt``."""
        if fmt == "json":
            text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        elif fmt == "yaml":
            import yaml

            text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        else:
            raise BuildError(f"There is no format {fmt!r}; use 'json' or 'yaml'.")
        Path(filename).write_text(text, encoding="utf-8")

    def mermaid(self) -> str:
        """The tasks and their order as a Mermaid flowchart, which many editors and web pages draw."""
        from lab.experiments import graph

        return graph.mermaid(self.to_dict())

    def plot(self, ax: Any = None) -> Any:
        """Draw the tasks and their order with matplotlib, on ``ax`` or a new figure; returns the axes.

        Raises BuildError where matplotlib is not installed.
        """
        from lab.experiments import graph

        try:
            return graph.plot(self.to_dict(), ax)
        except ImportError as error:
            raise BuildError("matplotlib is not installed; install it to plot, or use mermaid() for text.") from error

    def submit(self, address: str | None = None, token: str | None = None) -> str:
        """Submit it and return its id. Without an address, to the lab whose folder this is run in.

        Raises ClientError with the lab's own sentence, nothing of it being stored; ConfigError where there is no lab.
        """
        from lab.connection import connect

        return connect(address, token).submit(self.to_dict())

    def _sample(self, sample: AnySample) -> SampleBuilder:
        name = sample if isinstance(sample, str) else sample.name
        found = self._samples.get(name)
        if found is None or (found is not sample and not isinstance(sample, str)):
            raise BuildError(f"This experiment has no sample {name!r}; add it with add_sample first.")
        return found

    def _task(self, task: AnyTask) -> TaskBuilder:
        found = next((each for each in self._tasks if task in (each, each.task_id)), None)
        if found is None:
            name = task if isinstance(task, str) else task.type
            raise BuildError(f"This experiment has no task {name!r} yet; add it with add_task first.")
        return found


def _several(given: Any) -> list[Any]:
    """One thing alone, or each of several."""
    return [given] if isinstance(given, str | SampleBuilder | TaskBuilder) else list(given)


def _plain(value: Mapping[str, Any], what: str) -> Document:
    """As JSON carries it. Raises BuildError that names what it cannot."""
    from lab.plain import to_json

    try:
        return dict(to_json(dict(value), what))
    except TypeError as error:
        raise BuildError(str(error)) from error
