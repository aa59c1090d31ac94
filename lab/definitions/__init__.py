"""What a lab author writes against, and what the runtime asks about it.

Light on purpose: every version process imports this package, so it needs only the standard library and pydantic.
"""

from __future__ import annotations

from ._describe import build_device, describe, load
from ._device import BaseDevice
from ._examine import examine
from ._home import Home, MemoryHome
from ._location import Location
from ._logger import LogBook, LogEntry, NoLogBook, TaskLogger
from ._parameters import ParameterError, check_parameters, make_task, parameter_model
from ._position import SamplePosition, position_names
from ._priority import TaskPriority
from ._registry import (
    DeviceRecord,
    Registry,
    TaskRecord,
    add_device,
    add_experiment_template,
    add_reroute_task,
    add_standalone_sample_position,
    add_task,
    registry,
)
from ._resources import ResourceKey, Resources, SampleView
from ._results import result_complaint, result_model
from ._signals import LoggedSignal, Reading, log_signal, logged_signals
from ._simulation import mock
from ._switch import in_simulation, set_simulation
from ._task import POLICIES, BaseTask, LabView, TaskResult
from ._values import DictInDatabase, ListInDatabase, ValueInDatabase, value_in_database

__all__ = [
    "POLICIES",
    "BaseDevice",
    "BaseTask",
    "DeviceRecord",
    "DictInDatabase",
    "Home",
    "LabView",
    "ListInDatabase",
    "Location",
    "LogBook",
    "LogEntry",
    "LoggedSignal",
    "MemoryHome",
    "NoLogBook",
    "ParameterError",
    "Reading",
    "Registry",
    "ResourceKey",
    "Resources",
    "SamplePosition",
    "SampleView",
    "TaskLogger",
    "TaskPriority",
    "TaskRecord",
    "TaskResult",
    "ValueInDatabase",
    "add_device",
    "add_experiment_template",
    "add_reroute_task",
    "add_standalone_sample_position",
    "add_task",
    "build_device",
    "check_parameters",
    "describe",
    "examine",
    "in_simulation",
    "load",
    "log_signal",
    "logged_signals",
    "make_task",
    "mock",
    "parameter_model",
    "position_names",
    "registry",
    "result_complaint",
    "result_model",
    "set_simulation",
    "value_in_database",
]
