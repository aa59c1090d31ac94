"""Code fetched back: from the store of a laboratory, or from its archive."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from hotswap import archive as archives
from hotswap.errors import HotswapError, UnknownSnapshotError
from hotswap.store import Store
from lab.archiving.archive import Archive
from lab.records import Records
from lab.services.access import database_of
from lab.services.connection import connect
from lab.settings.config import LabConfig


def export_code(config: LabConfig, code: str, file: Path) -> str:
    """Write a code version into a file that is not there yet, as `hotswap export` does; says where it came from.

    ``config`` is revealed. Raises HotswapError when the file is there, or neither store nor archive has the code.
    """
    if file.exists():
        raise HotswapError(f"{file} exists; name another file.")
    store = Store(config.general.state_dir / "store")
    try:
        archives.export(store, code, file)
    except UnknownSnapshotError:
        _from_archive(config, store, code, file)
        return "archive"
    return "store"


def _from_archive(config: LabConfig, store: Store, code: str, file: Path) -> None:
    with ExitStack() as closing:
        database = closing.enter_context(database_of(config))
        client = database.client
        if config.archive.uri is not None:
            client = closing.enter_context(connect(config.archive.uri, "[archive] uri", appname="lab", patience=5.0))
        Archive(Records(database), store, client[config.archive_database]).fetch_code(code, file)
