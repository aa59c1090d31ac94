"""A lab package imported and described as a refresh would, without a laboratory: nothing is launched or stored."""

from __future__ import annotations

import secrets
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hotswap.fleet import Fleet, Limits
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.managers.refresh import LabCode
from lab.services.supervisor import DESCRIBE, PRELOAD
from lab.settings.config import LabConfig


def validate(config: LabConfig, rev: str | None = None) -> dict[str, Any]:
    """What the saved files, or a revision, define: names of ``devices``, ``tasks`` and ``positions``, and ``snapshot``.

    Raises ConfigError, SourceError, and DescribeError with file and line for code that would not go live.
    """
    config.check_package()
    with TemporaryDirectory(prefix="hotswap-") as folder:
        store = Store(Path(folder, "store"))
        snapshot = LabCode(config, store).freeze(rev) if rev is not None else store.freeze(_saved(config))
        limits = Limits(config.refresh.template_timeout, config.refresh.template_memory_mb)
        fleet = Fleet(store, Path(folder, "run"), secrets.token_hex(32), hook=DESCRIBE, preload=PRELOAD, limits=limits)
        try:
            told = fleet.describe(snapshot.id)["told"]
        finally:
            fleet.close(end=True)
    return {
        "snapshot": snapshot.id,
        "devices": sorted(told["devices"]),
        "tasks": sorted(told["tasks"]),
        "positions": sorted(position["name"] for position in told["positions"]),
    }


def _saved(config: LabConfig) -> TreeSource:
    return TreeSource(config.general.package, extra=config.code.extra, local=config.code.local)
