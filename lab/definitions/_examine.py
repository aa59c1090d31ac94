"""Whether queued tasks fit the code that would run them: each is constructed and validated, none is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from ._describe import load
from ._parameters import ParameterError, make_task
from ._registry import registry

_NAMELESS: Final = "examined"


class _NoLaboratory:
    """Stands where a task that is only examined would find its laboratory."""

    task_id = _NAMELESS
    priority = 20

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"lab_view.{name} is there when a task runs, not in its constructor or validate")


def examine(package: str, tasks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Construct and validate each of ``tasks``, which are ``{type, parameters, samples}`` with names of samples.

    Gives under ``objections``, in the same order, None or ``{field, reason}``: the parameter that is wrong, None where
    that cannot be told, and why, as the end of a sentence. Call it in a process that can be thrown away.
    """
    load(package)
    return {"objections": [_objection(each) for each in tasks]}


def _objection(task: dict[str, Any]) -> dict[str, Any] | None:
    record = registry.tasks.get(task["type"])
    if record is None:
        return {"field": None, "reason": f"there is no task type {task['type']!r} any more"}
    try:
        made = make_task(record.cls, task["parameters"], task["samples"], _NAMELESS, _NoLaboratory())
        refused = made.validate() is False
    except ParameterError as error:
        return {"field": error.field or None, "reason": error.reason}
    except Exception as error:  # noqa: BLE001 - a lab author's code may raise anything; what it says is the answer
        return {"field": None, "reason": _told(error)}
    return {"field": None, "reason": "validate() refuses its parameters"} if refused else None


def _told(error: Exception) -> str:
    """A ValueError is how ``validate`` refuses, in a sentence of its own; all else is told with its kind."""
    kind, reason = type(error).__name__, " ".join(str(error).split()).removesuffix(".")
    if not reason:
        return kind
    return reason if type(error) is ValueError else f"{kind}: {reason}"
