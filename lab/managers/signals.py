"""Signals are kept for a time; the index that finds them is there from the beginning."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from lab.managers.bus import Manager
from lab.records import Records, now
from lab.signals import Signals
from lab.task_logs import TaskLogs

_HOUR_SECONDS: Final = 3600.0

log = logging.getLogger(__name__)


class SignalManager(Manager):
    """Deletes, at its start and then hourly, what was recorded more than ``keep_days`` ago."""

    def __init__(self, records: Records, keep_days: float) -> None:
        super().__init__("signal manager")
        self._signals = Signals(records)
        self._logs = TaskLogs(records)
        self._keep = timedelta(days=keep_days)

    def reconcile(self) -> float | None:
        self._signals.create_indexes()
        self._logs.create_indexes()
        if gone := self._signals.forget(now() - self._keep):
            log.info("%d values of signals were older than %s and are deleted.", gone, self._keep)
        return _HOUR_SECONDS
