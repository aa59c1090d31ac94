"""The parameters of a task: read from its constructor, checked before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_jsonable_python

from hotswap.errors import DescribeError, HotswapError

from ._task import BaseTask, LabView

_Task = TypeVar("_Task", bound=BaseTask)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Fields have a prefix so that a parameter may be called "json" or "copy", like attributes of a model.
_PREFIX = "parameter_"


class ParameterError(HotswapError):
    """A task was given parameters it does not take; ``field`` names the first of them."""

    def __init__(self, message: str, field: str, reason: str) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


@cache
def parameter_model(cls: type[BaseTask]) -> type[BaseModel]:
    """Return a model of the parameters that ``cls.__init__`` takes; it forbids any others.

    Raises `DescribeError` when an annotation does not resolve or has no JSON schema.
    """
    try:
        model: type[BaseModel] = create_model(
            cls.__name__,
            __config__=ConfigDict(extra="forbid"),
            **{_PREFIX + name: field for name, field in _fields(cls).items()},
        )
        model.model_json_schema()
    except (NameError, AttributeError, TypeError, PydanticUserError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise DescribeError(
            f"the parameters of task {cls.__name__} cannot be described ({reason}): "
            "annotate __init__ with types that JSON can carry"
        ) from error
    return model


def parameter_schema(cls: type[BaseTask]) -> dict[str, Any]:
    """Return the JSON schema of the parameters that ``cls.__init__`` takes.

    Raises `DescribeError` as `parameter_model` does, and for a default that JSON cannot carry.
    """
    for each in inspect.signature(cls.__init__).parameters.values():
        if each.default is not inspect.Parameter.empty and not _carried(each.default):
            raise DescribeError(
                f"parameter {each.name!r} of task {cls.__name__} has a default of type {type(each.default).__name__}, "
                "which JSON cannot carry: make it None, and let __init__ put the real one in its place"
            )
    return parameter_model(cls).model_json_schema()


def check_parameters(cls: type[BaseTask], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters as ``__init__`` wants them; those left out keep their defaults.

    Raises `ParameterError` naming each wrong parameter and why.
    """
    model = parameter_model(cls)
    try:
        checked = model.model_validate(dict(parameters))
    except ValidationError as error:
        raise _parameter_error(cls, error.errors(include_url=False)) from error
    return {name: getattr(checked, _PREFIX + name) for name in parameters}


def make_task(
    cls: type[_Task], parameters: Mapping[str, Any], samples: Sequence[str], task_id: str, lab_view: LabView
) -> _Task:
    """Build a task that already has its samples, id and view when its ``__init__`` runs."""
    checked = check_parameters(cls, parameters)
    task = cls.__new__(cls)
    task.samples = list(samples)
    task.task_id = task_id
    task.lab_view = lab_view
    cls.__init__(task, **checked)
    return task


def _fields(cls: type[BaseTask]) -> dict[str, Any]:
    hints = get_type_hints(cls.__init__, include_extras=True)
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    return {
        each.name: (hints.get(each.name, Any), Field(_default(each), alias=each.name))
        for each in parameters
        if each.kind in _NAMED
    }


def _carried(value: object) -> bool:
    try:
        to_jsonable_python(value)
    except PydanticSerializationError:
        return False
    return True


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is inspect.Parameter.empty else parameter.default


def _parameter_error(cls: type[BaseTask], errors: Sequence[ErrorDetails]) -> ParameterError:
    reasons = [_reason(cls, each) for each in errors]
    first = errors[0]["loc"]
    return ParameterError(f"task {cls.__name__}: {'; '.join(reasons)}", str(first[0]) if first else "", reasons[0])


def _reason(cls: type[BaseTask], error: ErrorDetails) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"parameter {field!r} is missing"
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        known = ", ".join(_fields(cls)) or "no parameters"
        return f"there is no parameter {field!r}, it takes {known}"
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"parameter {field!r}: {message}, not {error['input']!r}"
