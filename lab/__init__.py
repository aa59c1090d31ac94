"""The laboratory that runs on hotswap."""

from __future__ import annotations

from .definitions import (
    BaseDevice,
    BaseTask,
    DictInDatabase,
    LabView,
    ListInDatabase,
    Reading,
    SamplePosition,
    TaskLogger,
    TaskPriority,
    ValueInDatabase,
    add_device,
    add_experiment_template,
    add_reroute_task,
    add_standalone_sample_position,
    add_task,
    log_signal,
    mock,
    value_in_database,
)
from .experiments.builder import ExperimentBuilder, SampleBuilder, TaskBuilder
from .experiments.outcomes import get_experiment_result, get_experiment_status
from .results.large_result import LargeResult

__all__ = [
    "BaseDevice",
    "BaseTask",
    "DictInDatabase",
    "ExperimentBuilder",
    "LabView",
    "LargeResult",
    "ListInDatabase",
    "Reading",
    "SampleBuilder",
    "SamplePosition",
    "TaskBuilder",
    "TaskLogger",
    "TaskPriority",
    "ValueInDatabase",
    "add_device",
    "add_experiment_template",
    "add_reroute_task",
    "add_standalone_sample_position",
    "add_task",
    "get_experiment_result",
    "get_experiment_status",
    "log_signal",
    "mock",
    "value_in_database",
]
