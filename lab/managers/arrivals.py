"""In which order documents were heard of: the clock may be set back, so their times only tell it of those at hand."""

from __future__ import annotations

from collections.abc import Container
from itertools import count


class Arrivals:
    """Gives each name a number when first asked for it; who hears of several at once asks for the oldest first."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._following = count()

    def number(self, name: str) -> int:
        """The lower came first."""
        if name not in self._numbers:
            self._numbers[name] = next(self._following)
        return self._numbers[name]

    def keep(self, names: Container[str]) -> None:
        """Forget all others."""
        self._numbers = {name: number for name, number in self._numbers.items() if name in names}

    def forget(self, name: str) -> None:
        """It comes last if it comes again."""
        self._numbers.pop(name, None)
