"""What a task returns, on its way into its record: large results become files, all else plain data."""

from __future__ import annotations

from typing import Any

from lab.plain import Plain, to_record
from lab.records import Document
from lab.results.large_result import REFERENCE, LargeResult, references
from lab.results.result_files import ResultFiles


class Uploads:
    """Of one attempt at a task or subtask."""

    def __init__(self, files: ResultFiles, task: str, experiment: str) -> None:
        self._files = files
        self._task = task
        self._experiment = experiment
        self._stored: set[str] = set()

    def record(self, value: object, what: str) -> Plain:
        """``value`` for the database. Raises TypeError that names ``what`` in it cannot be stored."""
        return to_record(value, what, self._store)

    def keep_only(self, result: Any) -> None:
        """Delete the files that this attempt stored and its ``result`` does not name."""
        left = self._stored - set(references(result))
        self._files.discard(left)
        self._stored -= left

    def _store(self, large: LargeResult) -> Document:
        if large.reference is None:
            reference = self._files.store(large, self._task, self._experiment)
            self._stored.add(reference[REFERENCE])
        return dict(large.reference or {})
