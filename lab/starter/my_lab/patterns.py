"""Powder patterns: making, reading and recognising them. Angles are two-theta in degrees."""

import math
from collections.abc import Mapping, Sequence
from random import Random

BACKGROUND_COUNTS = 20.0
FULL_SCALE_COUNTS = 1000.0
PEAK_WIDTH = 0.08
STEP = 0.05
NEIGHBOURHOOD = round(0.4 / STEP)
MATCHED_WITHIN = 0.2

Line = tuple[float, float]


def angles(start: float, end: float) -> list[float]:
    """Return the angles of a scan, both ends included."""
    return [round(start + index * STEP, 3) for index in range(round((end - start) / STEP) + 1)]


def simulate(lines: Sequence[Line], at: Sequence[float], noise: Random) -> list[int]:
    """Return detector counts for lines given as (angle, relative intensity in percent)."""
    return [_count(_intensity(lines, angle), noise) for angle in at]


def find_peaks(at: Sequence[float], counts: Sequence[int]) -> list[Line]:
    """Return (angle, counts) of every local maximum that stands six deviations above the background."""
    threshold = BACKGROUND_COUNTS + 6.0 * math.sqrt(BACKGROUND_COUNTS)
    return [(at[index], count) for index, count in enumerate(counts) if count > threshold and _is_top(counts, index)]


def match(angle: float, phases: Mapping[str, Sequence[Line]]) -> str | None:
    """Return the phase with the line nearest to an angle, or None when no line is near."""
    distance, phase = min(
        (abs(angle - line_angle), phase) for phase, lines in phases.items() for line_angle, _ in lines
    )
    return phase if distance <= MATCHED_WITHIN else None


def _intensity(lines: Sequence[Line], angle: float) -> float:
    peaks = sum(percent * math.exp(-(((angle - centre) / PEAK_WIDTH) ** 2)) for centre, percent in lines)
    return BACKGROUND_COUNTS + FULL_SCALE_COUNTS * peaks / 100.0


def _count(mean: float, noise: Random) -> int:
    # Counting statistics: the deviation is the square root of the mean.
    return max(0, round(noise.gauss(mean, math.sqrt(mean))))


def _is_top(counts: Sequence[int], index: int) -> bool:
    before = counts[max(0, index - NEIGHBOURHOOD) : index]
    after = counts[index + 1 : index + 1 + NEIGHBOURHOOD]
    return all(each < counts[index] for each in before) and all(each <= counts[index] for each in after)
