"""Code fetched back: from the store of a laboratory, or from its archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pymongo.database import Database

from hotswap import archive as archives
from hotswap.depot import Depot
from hotswap.errors import HotswapError, UnknownSnapshotError
from hotswap.store import Store
from lab.records import Document
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
        _from_archive(config, code, file)
        return "archive"
    return "store"


def _from_archive(config: LabConfig, code: str, file: Path) -> None:
    with _archive_of(config) as database, TemporaryDirectory(prefix="hotswap-") as folder:
        store = Store(Path(folder, "store"))
        archives.export(store, Depot(database, "the archive").fetch(store, code).snapshot.id, file)


@contextmanager
def _archive_of(config: LabConfig) -> Iterator[Database[Document]]:
    """The lab's own database is asked for nothing, and may be gone, where the archive is elsewhere."""
    if config.archive.uri is None:
        with database_of(config) as database:
            yield database.client[config.archive_database]
    else:
        with connect(config.archive.uri, "[archive] uri", appname="lab", patience=5.0) as client:
            yield client[config.archive_database]
