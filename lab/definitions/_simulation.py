"""Methods that pretend while the lab is simulated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar
from unittest.mock import Mock

_Method = TypeVar("_Method", bound=Callable[..., Any])


class _Switch:
    # A lab is simulated until somebody turns it off on purpose.
    on = True


def in_simulation() -> bool:
    """Tell whether this process simulates its hardware."""
    return _Switch.on


def set_simulation(on: bool) -> None:
    """Choose, for the whole process, whether methods marked with `mock` pretend."""
    _Switch.on = on


def mock(
    *, return_constant: Any = None, object_type: type[Any] | list[type[Any]] | None = None
) -> Callable[[_Method], _Method]:
    """Mark a method that, in simulation, returns a constant or a mock object instead of running.

    ``object_type`` gives a `unittest.mock.Mock` with the attributes of that class, a list of classes gives
    a list of them; only one of the two arguments may be given.
    """
    if return_constant is not None and object_type is not None:
        raise TypeError("mock() takes return_constant or object_type, not both")

    def decorate(method: _Method) -> _Method:
        @functools.wraps(method)
        def pretend(*args: Any, **kwargs: Any) -> Any:
            if not in_simulation():
                return method(*args, **kwargs)
            return return_constant if object_type is None else _mock_of(object_type)

        return pretend  # type: ignore[return-value]  # the wrapper takes what the method takes

    return decorate


def _mock_of(object_type: type[Any] | list[type[Any]]) -> Mock | list[Mock]:
    if isinstance(object_type, list):
        return [Mock(spec=each) for each in object_type]
    return Mock(spec=object_type)
