"""When a device in error is tried again: soon at first, then less and less often."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from lab.records import Device, Retry, now

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 300.0
_ENOUGH: Final = 16  # doublings; more would overflow


def next_retry(device: Device) -> Retry:
    """The try that follows the one that has just failed."""
    before = device.get("retry")
    failures = 1 if before is None else before["failures"] + 1
    return Retry(failures=failures, at=now() + timedelta(seconds=delay_after(failures)))


def delay_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_SECONDS * 2.0 ** min(failures - 1, _ENOUGH), LONGEST_SECONDS)


def seconds_until(device: Device, at: datetime) -> float | None:
    """How long a device is still left alone at a time, 0 when it is due; None when nothing was planned."""
    retry = device.get("retry")
    if retry is None:
        return None
    left = (retry["at"] - at).total_seconds()
    # One that is further away than any pause was planned by a clock that has been set back since.
    return left if 0.0 < left <= LONGEST_SECONDS else 0.0
