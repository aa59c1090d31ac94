"""Places that hold one sample each."""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = "/"
_FORBIDDEN = frozenset("$.\0")


@dataclass(frozen=True)
class SamplePosition:
    """A group of ``number`` equal places, each for one sample.

    The places of a device are called ``device/name/1`` to ``device/name/number``, standalone ones
    ``name/1`` to ``name/number``. Raises `ValueError` for a name or number that cannot be used.
    """

    name: str
    number: int = 1
    description: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, "sample position")
        if isinstance(self.number, bool) or not isinstance(self.number, int) or self.number < 1:
            raise ValueError(f"sample position {self.name!r} has number={self.number!r}: use a whole number from 1")


def position_names(position: SamplePosition, device: str | None = None) -> list[str]:
    """Return the name of each place of a position, as it stands in the database."""
    prefix = position.name if device is None else f"{device}{SEPARATOR}{position.name}"
    return [f"{prefix}{SEPARATOR}{index}" for index in range(1, position.number + 1)]


def check_name(name: object, what: str) -> str:
    """Return ``name`` if it can name a thing in the database, or raise `ValueError`."""
    if not isinstance(name, str) or not name.strip(f" {SEPARATOR}") or name != name.strip(f" {SEPARATOR}"):
        raise ValueError(f"{name!r} cannot name a {what}: use text that neither begins nor ends with '/'")
    if forbidden := _FORBIDDEN.intersection(name):
        raise ValueError(f"{name!r} cannot name a {what}: leave out {min(forbidden)!r}")
    return name
