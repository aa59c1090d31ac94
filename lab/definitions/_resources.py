"""What a task may ask for and look at: devices, places and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from ._device import BaseDevice

ResourceKey: TypeAlias = type[BaseDevice] | tuple[type[BaseDevice], int] | str | None
"""What is asked for: any device of a class, so many of them, a device by its name, or standalone positions."""

Resources: TypeAlias = tuple[Mapping[ResourceKey, Any], Mapping[ResourceKey, Mapping[str, list[str]]]]


class SampleView(Protocol):
    """A sample as it is now."""

    @property
    def name(self) -> str:
        """The name given at submission."""

    @property
    def position(self) -> str | None:
        """The place it stands in, or None outside the laboratory."""
