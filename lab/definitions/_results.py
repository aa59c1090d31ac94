"""What a task promises to return: its ``result_specification``, and whether a result is like that."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError

from hotswap.errors import DescribeError

from ._task import BaseTask


def result_model(cls: type[BaseTask]) -> type[BaseModel] | None:
    """The ``result_specification`` of a task: given by a class method, a property or an attribute.

    Raises `DescribeError` when it is no pydantic model class.
    """
    found: Any = cls.__new__(cls).result_specification
    model = found() if inspect.ismethod(found) else found
    if model is None or (isinstance(model, type) and issubclass(model, BaseModel)):
        return model
    raise DescribeError(
        f"result_specification of task {cls.__name__} is {model!r}: give a pydantic model class or None"
    )


def result_schema(cls: type[BaseTask]) -> dict[str, Any] | None:
    """Its JSON schema, None where nothing is promised. Raises `DescribeError`."""
    model = result_model(cls)
    try:
        return None if model is None else model.model_json_schema(mode="serialization")
    except PydanticUserError as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise DescribeError(f"result_specification of task {cls.__name__} cannot be described: {reason}") from error


def result_complaint(cls: type[BaseTask], result: Any) -> str | None:
    """The first thing in which a stored result is not as promised, as the end of a sentence; None when all is."""
    model = result_model(cls)
    if model is None:
        return None
    try:
        model.model_validate(result, strict=False, by_name=True)  # sets, dates and the like have become plain data
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"field {field!r} is missing"
        message = first["msg"][:1].lower() + first["msg"][1:]
        return f"field {field!r}: {message}" if field else message
    except Exception as error:  # noqa: BLE001 - a lab author's validators may raise anything; it must not cost the result
        return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(".")
    return None
