"""Spans of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from hotswap.errors import HotswapError

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?", re.ASCII)
_LONGEST_DAYS: Final = 36_500.0


class DurationError(HotswapError):
    """What was written is no span of time."""


def duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``2h``, ``7d``; a number alone counts seconds. Raises DurationError."""
    found = _WRITTEN.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if not 0.0 < seconds <= _LONGEST_DAYS * _UNITS["d"]:
        raise DurationError(f"{text!r} is no span of time; write it as 90s, 15m, 2h or 7d.")
    return timedelta(seconds=seconds)
