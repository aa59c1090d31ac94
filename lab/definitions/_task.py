"""The base class of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

from pydantic import BaseModel

from ._view import LabView

TaskResult: TypeAlias = dict[str, Any] | BaseModel | str | int | float | bool | None


class BaseTask(ABC):
    """One kind of work on samples.

    A subclass writes an ``__init__`` with only its own parameters, annotated: they are what an experiment may
    give. The runtime sets ``samples`` (names), ``lab_view`` and ``task_id`` before ``__init__`` runs.
    """

    samples: list[str]
    lab_view: LabView
    task_id: str

    def validate(self) -> bool | None:
        """Refuse the task by returning False, or by raising `ValueError` with a sentence that says why."""
        return True

    @abstractmethod
    def run(self) -> TaskResult:
        """Do the work and return its result: a dictionary, a pydantic model, a scalar or None."""

    def set_message(self, message: str) -> None:
        """Show ``message`` beside the task on the dashboard."""
        self.lab_view.set_message(message)
