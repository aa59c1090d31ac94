"""Whether constructing a device records it or executes its constructor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn


@dataclass(frozen=True)
class Construction:
    """A device that was asked for: its class and the arguments of its constructor."""

    cls: type[Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(
            f"{self.__dict__['cls'].__name__} is only recorded while the lab is imported, so it has no {attribute!r}: "
            "use devices inside tasks"
        )


class _Switch:
    # None: record exactly while a package is being imported.
    on: bool | None = None


def is_recording() -> bool:
    """Tell whether constructing a device records it instead of executing its constructor.

    It does while the ``__init__`` of a top-level package runs, unless a `recording` block says otherwise.
    """
    return _package_is_imported() if _Switch.on is None else _Switch.on


@contextmanager
def recording(on: bool = True) -> Iterator[None]:
    """Record the devices constructed inside the block, or with ``on=False`` construct them for real."""
    before, _Switch.on = _Switch.on, on
    try:
        yield
    finally:
        _Switch.on = before


def _package_is_imported() -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _runs_package(frame):
        frame = frame.f_back
    return frame is not None


def _runs_package(frame: FrameType) -> bool:
    module = frame.f_globals
    return frame.f_code.co_name == "<module>" and "__path__" in module and "." not in module["__name__"]
