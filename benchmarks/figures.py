"""A measured figure, and the statistics it is made with."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reference:
    """What a figure is compared with: a limit that it must not pass, or what somebody or something else needs.

    ``value`` is in the unit of the figure.
    """

    text: str
    value: float
    is_limit: bool = False


def limit(value: float, unit: str, why: str) -> Reference:
    """A budget of ours: the figure must not be above it."""
    return Reference(f"limit {value:g} {unit}: {why}", value, is_limit=True)


@dataclass(frozen=True)
class Figure:
    """One line of the results; ``n`` is how many samples ``value`` was made from."""

    name: str
    value: float
    unit: str
    n: int
    reference: Reference

    @property
    def ratio(self) -> float:
        """The value over what it is compared with: below 1 is better."""
        return self.value / self.reference.value

    @property
    def missed(self) -> bool:
        """Whether it is compared with a limit and above it."""
        return self.reference.is_limit and self.ratio > 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers with four significant digits."""
        return {
            "value": significant(self.value),
            "unit": self.unit,
            "n": self.n,
            "compared_with": self.reference.text,
            "ratio": significant(self.ratio),
        }


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that ``percent`` of all samples do not exceed (nearest rank, so it was really measured)."""
    if not samples:
        raise ValueError("There is no percentile of no samples.")
    rank = math.ceil(len(samples) * percent / 100)
    return sorted(samples)[max(rank, 1) - 1]


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two in the middle."""
    return statistics.median(samples)


def significant(value: float, digits: int = 4) -> float:
    """``value`` rounded to so many significant digits."""
    return float(f"{value:.{digits}g}")
