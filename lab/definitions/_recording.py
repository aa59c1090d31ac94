"""The switch that decides whether constructing a device records or executes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ._device import BaseDevice


@dataclass(frozen=True)
class Construction:
    """A device that was asked for: its class and the arguments of its constructor."""

    cls: type[BaseDevice]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(
            f"{self.__dict__['cls'].__name__} is only recorded while the lab is imported, so it has no {attribute!r}: "
            "use devices inside tasks"
        )


class _Switch:
    on = False


def is_recording() -> bool:
    """Tell whether constructing a device records it instead of executing its constructor."""
    return _Switch.on


@contextmanager
def recording(on: bool = True) -> Iterator[None]:
    """Record the devices constructed inside the block, or with ``on=False`` construct them for real."""
    before, _Switch.on = _Switch.on, on
    try:
        yield
    finally:
        _Switch.on = before
