"""The laboratory that runs on hotswap."""

from __future__ import annotations

from .builder import ExperimentBuilder, SampleBuilder, TaskBuilder
from .definitions import (
    BaseDevice,
    BaseTask,
    LabView,
    SamplePosition,
    add_device,
    add_standalone_sample_position,
    add_task,
    mock,
)
from .large_result import LargeResult
from .outcomes import get_experiment_result, get_experiment_status

__all__ = [
    "BaseDevice",
    "BaseTask",
    "ExperimentBuilder",
    "LabView",
    "LargeResult",
    "SampleBuilder",
    "SamplePosition",
    "TaskBuilder",
    "add_device",
    "add_standalone_sample_position",
    "add_task",
    "get_experiment_result",
    "get_experiment_status",
    "mock",
]
