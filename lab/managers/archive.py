"""The archive manager: experiments go to the archive when their time has come, and what is old leaves the database."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Final

from pymongo.errors import PyMongoError

from hotswap.errors import HotswapError
from lab.archiving.archive import Archive
from lab.archiving.retention import sweep
from lab.managers.bus import Bus, Manager
from lab.records import Document, Records
from lab.settings.keeping import Archive as Settings
from lab.settings.keeping import Retention

_LOOK_SECONDS: Final = 3600.0
_SECONDS_A_DAY: Final = 86_400.0

log = logging.getLogger(__name__)


class ArchiveManager(Manager):
    """Looks hourly, and when an experiment ends; an experiment that cannot be archived is logged, and tried again."""

    def __init__(self, records: Records, bus: Bus, archive: Archive, settings: Settings, retention: Retention) -> None:
        super().__init__("archive manager")
        self._records = records
        self._archive = archive
        self._after_days = settings.after_days
        self._retention = retention
        self._lock = threading.Lock()
        bus.subscribe("experiments", self.wake, {"completed_at"})

    def reconcile(self) -> float | None:
        if self._after_days is not None:
            self._add_due(timedelta(days=self._after_days))
        gone = self._sweep()
        if gone:
            log.info("Deleted for being old: %s", ", ".join(f"{count} {kind}" for kind, count in gone.items()))
            self._records.log("retention.swept", "database", **gone)
        return min(_LOOK_SECONDS, max(self._after_days * _SECONDS_A_DAY, 1.0)) if self._after_days else _LOOK_SECONDS

    def archive(self, experiment: str | None = None, *, dry_run: bool = False) -> Document:
        """Archive one experiment, or all that have ended and are not archived: ``experiments``, each with its counts.

        With ``dry_run`` the counts are None, and nothing is done. Raises NotFoundError, ConflictError, ArchiveError.
        """
        if experiment is not None:
            self._archive.check(experiment)
        wanted = self._archive.due() if experiment is None else [experiment]
        return {"experiments": [{"id": each, "counts": None if dry_run else self._add(each)} for each in wanted]}

    def _add_due(self, after: timedelta) -> None:
        for experiment in self._archive.due(after):
            if self._ending.is_set():
                return
            try:
                self._add(experiment)
            except HotswapError as error:
                log.warning("Experiment %s was not archived: %s", experiment, error)
            except PyMongoError as error:
                log.warning("The archive does not take experiment %s, it is tried again: %s", experiment, error)
                return

    def _sweep(self) -> dict[str, int]:
        with self._lock:
            try:
                return sweep(self._records, self._retention, self._archive)
            except PyMongoError as error:
                log.warning("What is old stays, because the archive or the database does not answer: %s", error)
                return {}

    def _add(self, experiment: str) -> dict[str, int]:
        with self._lock:
            return self._archive.add(experiment)
