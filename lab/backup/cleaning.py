"""Begins a laboratory anew: its database is deleted, of real work after a backup only."""

from __future__ import annotations

from pathlib import Path

from lab.backup.manifest import BackupError
from lab.backup.taking import take
from lab.services.access import database_at_rest
from lab.settings.config import LabConfig


def clean(config: LabConfig, database: str | None, target: Path | None) -> None:
    """Delete the database of a laboratory that does not run; ``database`` has to be its name.

    With ``target``, after a backup into that folder. Raises BackupError, and HotswapError when the lab runs.
    """
    if database != config.database:
        raise BackupError(
            f"`lab clean {config.database}` deletes all documents of the lab {config.general.name!r}: experiments, "
            "tasks, samples, generations; name that database if this is meant."
        )
    if not (config.general.simulation or target):
        raise BackupError(f"{database} holds real work; name a folder for a backup of it with --backup.")
    if target is not None:
        take(config, target)
    with database_at_rest(config) as found:
        found.client.drop_database(database)
