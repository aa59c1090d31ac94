"""The parameters of a task or template: read from its constructor or function, checked before that is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import FunctionType
from typing import Any, TypeAlias, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_jsonable_python

from hotswap.errors import DescribeError, HotswapError

from ._task import BaseTask, LabView

_Task = TypeVar("_Task", bound=BaseTask)
Owner: TypeAlias = type[BaseTask] | FunctionType
"""What has parameters: a task by its ``__init__``, or a template, which is a function."""

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Fields have a prefix so that a parameter may be called "json" or "copy", like attributes of a model.
_PREFIX = "parameter_"


class ParameterError(HotswapError):
    """A task or template was given parameters it does not take; ``field`` names the first of them."""

    def __init__(self, message: str, field: str, reason: str) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


@cache
def parameter_model(owner: Owner) -> type[BaseModel]:
    """Return a model of the parameters that ``owner`` takes; it forbids any others.

    Raises `DescribeError` when an annotation does not resolve or has no JSON schema.
    """
    try:
        model: type[BaseModel] = create_model(
            owner.__name__,
            __config__=ConfigDict(extra="forbid"),
            **{_PREFIX + name: field for name, field in _fields(owner).items()},
        )
        model.model_json_schema()
    except (NameError, AttributeError, TypeError, PydanticUserError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise DescribeError(
            f"the parameters of {_title(owner)} cannot be described ({reason}): "
            f"annotate {_function(owner).__name__} with types that JSON can carry"
        ) from error
    return model


def parameter_schema(owner: Owner) -> dict[str, Any]:
    """Return the JSON schema of the parameters that ``owner`` takes.

    Raises `DescribeError` as `parameter_model` does, for one that cannot be given by name, and for a default that JSON
    cannot carry.
    """
    function = _function(owner)
    for each in _parameters(owner):
        if each.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise DescribeError(
                f"parameter {each.name!r} of {_title(owner)} is positional-only, and an experiment gives parameters by "
                f"name: move it behind the / in {function.__name__}"
            )
        if each.default is not inspect.Parameter.empty and not _carried(each.default):
            raise DescribeError(
                f"parameter {each.name!r} of {_title(owner)} has a default of type {type(each.default).__name__}, "
                f"which JSON cannot carry: make it None, and let {function.__name__} put the real one in its place"
            )
    return parameter_model(owner).model_json_schema()


def check_parameters(owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters as ``owner`` wants them; those left out keep their defaults.

    Raises `ParameterError` naming each wrong parameter and why.
    """
    model = parameter_model(owner)
    try:
        checked = model.model_validate(dict(parameters))
    except ValidationError as error:
        raise _parameter_error(owner, error.errors(include_url=False)) from error
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


def _function(owner: Owner) -> Callable[..., object]:
    return owner.__init__ if isinstance(owner, type) else owner


def _title(owner: Owner) -> str:
    return f"{'task' if isinstance(owner, type) else 'template'} {owner.__name__}"


def _fields(owner: Owner) -> dict[str, Any]:
    hints = get_type_hints(_function(owner), include_extras=True)
    return {
        each.name: (hints.get(each.name, Any), Field(_default(each), alias=each.name))
        for each in _parameters(owner)
        if each.kind in _NAMED
    }


def _parameters(owner: Owner) -> list[inspect.Parameter]:
    """Those of the function, without ``self``."""
    return list(inspect.signature(_function(owner)).parameters.values())[isinstance(owner, type) :]


def _carried(value: object) -> bool:
    try:
        to_jsonable_python(value)
    except PydanticSerializationError:
        return False
    return True


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is inspect.Parameter.empty else parameter.default


def _parameter_error(owner: Owner, errors: Sequence[ErrorDetails]) -> ParameterError:
    reasons = [_reason(owner, each) for each in errors]
    first = errors[0]["loc"]
    return ParameterError(f"{_title(owner)}: {'; '.join(reasons)}", str(first[0]) if first else "", reasons[0])


def _reason(owner: Owner, error: ErrorDetails) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"parameter {field!r} is missing"
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        known = ", ".join(_fields(owner)) or "no parameters"
        return f"there is no parameter {field!r}, it takes {known}"
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"parameter {field!r}: {message}, not {error['input']!r}"
