"""Methods that pretend while their device is simulated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar
from unittest.mock import Mock

from ._device import BaseDevice
from ._switch import in_simulation

_Method = TypeVar("_Method", bound=Callable[..., Any])


def mock(
    *, return_constant: Any = None, object_type: type[Any] | list[type[Any]] | None = None
) -> Callable[[_Method], _Method]:
    """Mark a method that returns a constant or a mock object, instead of running, while its device is simulated.

    ``object_type`` gives a `unittest.mock.Mock` with the attributes of that class, a list of classes gives
    a list of them; only one of the two arguments may be given. Methods of other objects than devices pretend where
    all devices of their process do.
    """
    if return_constant is not None and object_type is not None:
        raise TypeError("mock() takes return_constant or object_type, not both")

    def decorate(method: _Method) -> _Method:
        @functools.wraps(method)
        def pretend(*args: Any, **kwargs: Any) -> Any:
            if not _pretends(args):
                return method(*args, **kwargs)
            return return_constant if object_type is None else _mock_of(object_type)

        return pretend  # type: ignore[return-value]  # the wrapper takes what the method takes

    return decorate


def _pretends(args: tuple[Any, ...]) -> bool:
    first = args[0] if args else None
    return first.simulated if isinstance(first, BaseDevice) else in_simulation()


def _mock_of(object_type: type[Any] | list[type[Any]]) -> Mock | list[Mock]:
    if isinstance(object_type, list):
        return [Mock(spec=each) for each in object_type]
    return Mock(spec=object_type)
