"""Worker processes: each runs the tasks of one snapshot, as threads."""

from __future__ import annotations

from lab.worker._alone import alone
from lab.worker._process import main

__all__ = ["alone", "main"]
