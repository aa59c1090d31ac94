"""Database operations that outlast an interruption: running work does not fail because a server restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from pymongo.errors import AutoReconnect

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 10.0


def patiently(operation: Callable[[], _T]) -> _T:
    """Repeat an operation until the database answers; it has to be one that may take effect twice."""
    delay = _FIRST_DELAY
    while True:
        try:
            return operation()
        except AutoReconnect as error:
            log.warning("The database does not answer; trying again in %.1f s: %s", delay, error)
            time.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
