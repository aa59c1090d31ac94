"""What people see of the facts: rich tables and plain sentences."""

from __future__ import annotations

from lab.display._alarms import show_alarms, show_sent
from lab.display._code import show_barrier, show_collection, show_refresh, show_versions, waits_for
from lab.display._laboratory import show_devices, show_processes, show_status
from lab.display._plan import show_plan
from lab.display._prompts import show_prompts
from lab.display._report import show_report, show_settings
from lab.display._signals import show_signals
from lab.display._templates import show_templates
from lab.display._work import show_blame, show_experiments, show_samples, show_task, show_tasks

__all__ = [
    "show_alarms",
    "show_barrier",
    "show_blame",
    "show_collection",
    "show_devices",
    "show_experiments",
    "show_plan",
    "show_processes",
    "show_prompts",
    "show_refresh",
    "show_report",
    "show_samples",
    "show_sent",
    "show_settings",
    "show_signals",
    "show_status",
    "show_task",
    "show_tasks",
    "show_templates",
    "show_versions",
    "waits_for",
]
