"""The laboratory that runs on hotswap."""

from __future__ import annotations

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

__all__ = [
    "BaseDevice",
    "BaseTask",
    "LabView",
    "SamplePosition",
    "add_device",
    "add_standalone_sample_position",
    "add_task",
    "mock",
]
