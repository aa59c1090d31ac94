"""How a task ends that has returned: its result beside the task's ``result_specification``."""

from __future__ import annotations

from typing import Any

from hotswap.errors import HotswapError
from lab.definitions import BaseTask, result_complaint
from lab.records import Document, TaskStatus


class ResultRefusedError(HotswapError):
    """A subtask returned what its ``result_specification`` does not allow, and the lab's policy refuses that."""


def returned(cls: type[BaseTask], result: Any, *, refuse: bool) -> Document:
    """The fields to write. A result that is not as promised is kept: with a warning, or, to ``refuse`` it, in ERROR."""
    complaint = result_complaint(cls, result)
    if complaint is None:
        return {"status": TaskStatus.COMPLETED, "result": result, "result_warning": None}
    said = f"The result of {cls.__name__} is not what its result_specification promises: {complaint}."
    if refuse:
        return {"status": TaskStatus.ERROR, "result": result, "result_warning": None, "error": said}
    return {"status": TaskStatus.COMPLETED, "result": result, "result_warning": said}
