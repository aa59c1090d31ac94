"""What has become of an experiment, for a program that submitted it."""

from __future__ import annotations

from typing import Any, Final

Document = dict[str, Any]

_STATUS: Final = ("id", "name", "submitted_at", "status", "progress")
_RESULT: Final = (*_STATUS, "tags", "metadata", "completed_at")
_TASK: Final = ("id", "label", "type", "status", "message")
_TASK_RESULT: Final = (*_TASK, "parameters", "result", "result_warning", "error", "started_at", "ended_at", "pin")
_SAMPLE: Final = ("id", "label", "name", "position")


def get_experiment_status(experiment_id: str, address: str | None = None) -> Document:
    """How far an experiment is: ``status``, ``progress`` from 0 to 1, and its ``samples`` and ``tasks`` in brief.

    Without an address, in the lab whose folder this is run in. Raises ClientError and ConfigError.
    """
    found = _read(experiment_id, address)
    tasks = [_only(task, _TASK) for task in found["tasks"]]
    samples = [_only(sample, _SAMPLE) for sample in found["samples"]]
    return {**_only(found, _STATUS), "samples": samples, "tasks": tasks}


def get_experiment_result(experiment_id: str, address: str | None = None) -> Document:
    """All that came of an experiment; each task with its parameters, result, times, samples by name, and code.

    Large results are references, see ``LargeResult.of``. Raises as `get_experiment_status`.
    """
    found = _read(experiment_id, address)
    names = {sample["id"]: sample["name"] for sample in found["samples"]}
    tasks = [
        {**_only(task, _TASK_RESULT), "samples": [names.get(each, each) for each in task["samples"]]}
        for task in found["tasks"]
    ]
    samples = [_only(sample, (*_SAMPLE, "tags", "metadata")) for sample in found["samples"]]
    return {**_only(found, _RESULT), "samples": samples, "tasks": tasks}


def _read(experiment_id: str, address: str | None) -> Document:
    from lab.connection import connect

    return connect(address).experiment(experiment_id)


def _only(document: Document, fields: tuple[str, ...]) -> Document:
    return {name: document.get(name) for name in fields}
