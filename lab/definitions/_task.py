"""A task, and the laboratory as it sees it: each is told in terms of the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel

from ._logger import TaskLogger
from ._resources import ResourceKey, Resources, SampleView
from ._signals import Reading

POLICIES: Final = {
    "clean_up": ("release", "ask"),
    "on_crash": ("ask", "retry", "abort"),
    "isolation": ("thread", "process"),
}
"""The class attributes of a task that say what becomes of it, with the values they may have; the default first."""

TaskResult: TypeAlias = dict[str, Any] | BaseModel | str | int | float | bool | None


class BaseTask(ABC):
    """One kind of work on samples.

    A subclass writes an ``__init__`` with only its own parameters, annotated: they are what an experiment may
    give. The runtime sets ``samples`` (names), ``lab_view`` and ``task_id`` before ``__init__`` runs.
    """

    clean_up: ClassVar[Literal["release", "ask"]] = "release"
    """When the task fails or is cancelled while its samples stand in places it holds: release what it holds and leave
    the samples where they are, or keep it until a person has taken them out. Of subtasks the outermost task's counts.
    """

    on_crash: ClassVar[Literal["ask", "retry", "abort"]] = "ask"
    """When the process that runs the task dies: ask a person, run it again from its start with the same code, three
    times at most, or cancel it.
    """

    isolation: ClassVar[Literal["thread", "process"]] = "thread"
    """Where it runs: beside other tasks, or in a process of its own, which can be killed when it is cancelled."""

    samples: list[str]
    lab_view: LabView
    task_id: str

    def validate(self) -> bool | None:
        """Refuse the task by returning False, or by raising `ValueError` with a sentence that says why."""
        return True

    @classmethod
    def result_specification(cls) -> type[BaseModel] | None:
        """The model that the result is checked against when the task ends; None promises nothing."""
        return None

    @abstractmethod
    def run(self) -> TaskResult:
        """Do the work and return its result: a dictionary, a pydantic model, a scalar or None."""

    def set_message(self, message: str) -> None:
        """Show ``message`` beside the task on the dashboard."""
        self.lab_view.set_message(message)

    def set_progress(self, fraction: float, message: str | None = None) -> None:
        """Show how far the task is, from 0 to 1, and a ``message`` if there is a new one."""
        self.lab_view.set_progress(fraction, message)

    @property
    def priority(self) -> int:
        """What the task's requests for resources are granted by, 0 to 1000; may be set while it runs."""
        return self.lab_view.priority

    @priority.setter
    def priority(self, priority: int) -> None:
        self.lab_view.priority = priority

    @property
    def logger(self) -> TaskLogger:
        """Writes to the log of the worker, naming the task and its code version, and keeps data with the task."""
        return self.lab_view.logger


class LabView(Protocol):
    """The laboratory as one task may use it.

    Every method may raise the cancellation of the task; let it pass, `with` blocks release what they hold.
    """

    @property
    def task_id(self) -> str:
        """The id of the task this view belongs to."""

    @property
    def logger(self) -> TaskLogger:
        """The logger of the task."""

    def log_device_signal(self, device: str, name: str, value: Any) -> None:
        """Record a value of a device's signal, as if its driver had read it now; raises `DeviceError` for no device."""

    def get_latest_device_signal(self, device: str, name: str) -> Reading | None:
        """The last value that was recorded of a device's signal; None if there is none."""

    def device_signals(self, device: str, name: str, within: timedelta) -> list[Reading]:
        """What was recorded of a device's signal within the time span before now, the oldest first."""

    def request_resources(
        self,
        resources: Mapping[ResourceKey, Mapping[str, int]],
        priority: int | None = None,
        timeout: float | None = None,
    ) -> AbstractContextManager[Resources]:
        """Hold devices and places for the duration of a `with` block.

        Keys are a device class (any free device of it), a device name, or None for standalone positions;
        values say how many places are needed per position name. All is granted together or not at all.
        Gives ``(devices, places)``: a proxy per requested device, and the names of the places granted. Waits at
        most ``timeout`` seconds (None: without limit), then raises `TimeoutError`.
        """

    def move_sample(self, sample: str, position: str | None) -> None:
        """Record that a sample stands in another place, or with None has left the laboratory."""

    def get_sample(self, sample: str) -> SampleView:
        """Return a sample of this task by name."""

    @property
    def priority(self) -> int:
        """The task's, from 0 to 1000; the higher is granted resources first. Setting it counts for later requests."""

    @priority.setter
    def priority(self, priority: int) -> None: ...

    def run_subtask(self, task: type[BaseTask] | str, samples: Sequence[str] | None = None, **parameters: Any) -> Any:
        """Run another task inside this one and return its result; ``samples=None`` passes on all samples.

        ``task`` is its class, or the name of a registered one.
        """

    def update_result(self, name: str, value: Any) -> None:
        """Store one part of the result now, before the task ends."""

    def set_message(self, message: str) -> None:
        """Show ``message`` beside the task on the dashboard."""

    def set_progress(self, fraction: float, message: str | None = None) -> None:
        """Show how far the task is, from 0 to 1, and a ``message`` if there is a new one. Raises ValueError."""

    def sleep(self, seconds: float) -> None:
        """Wait; returns by raising when the task is cancelled meanwhile."""

    def request_user_input(self, prompt: str, options: Sequence[str] = ("OK",)) -> str:
        """Ask a person and wait, however long it takes; returns the option that the person chose."""

    def request_user_input_with_note(self, prompt: str, options: Sequence[str] = ("OK",)) -> tuple[str, str]:
        """As `request_user_input`; returns what the person wrote beside the answer, too, empty if nothing."""

    def request_cleanup(self) -> None:
        """Ask a person to take out the samples that stand in places of this task, wait, and record them as gone."""

    def update_sample_metadata(self, sample: str, metadata: Mapping[str, Any]) -> None:
        """Add to what is known of a sample; entries of the same name are replaced."""

    def get_locked_sample_positions(self) -> list[str]:
        """The places that this task holds now."""

    def get_sample_position_parent_device(self, position: str) -> str | None:
        """The name of the device that a place is on, or None where it stands alone."""
