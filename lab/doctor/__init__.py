"""``lab doctor``: looks a laboratory over, running or not, and says of each thing that is wrong how to mend it."""

from __future__ import annotations

from lab.doctor._examination import examine
from lab.doctor._report import Finding, Report

__all__ = ["Finding", "Report", "examine"]
