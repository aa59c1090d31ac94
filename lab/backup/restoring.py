"""Restores a backup: compared with its manifest first, into a laboratory that does not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne
from pymongo.database import Database
from pymongo.errors import PyMongoError

from hotswap import archive as archives
from hotswap.store import Store
from lab.archiving.documents import RAW, batches, raw
from lab.backup import manifest as manifests
from lab.backup.manifest import CHANGES, CODE, DATABASE, BackupError, Manifest
from lab.migrations import CURRENT, UNFINISHED
from lab.records import Document, now
from lab.services.access import database_at_rest
from lab.settings.config import LabConfig

_MARK: Final = {"_id": UNFINISHED}


def restore(config: LabConfig, folder: Path, *, replace: bool = False) -> Manifest:
    """Have the database and the store of a laboratory hold what a backup holds.

    ``config`` is revealed. What is in the database already is refused, or deleted with ``replace``; what is in the
    store stays. Until all of it is there the lab does not launch; then restore again. Raises BackupError, with nothing
    changed unless it says so, and HotswapError when the lab runs.
    """
    manifest = manifests.read(folder)
    _check(config, manifest)
    with database_at_rest(config) as database:
        try:
            if not (replace or _is_empty(database)):
                raise BackupError(
                    f"The database {database.name} holds documents already; say --replace to have them deleted."
                )
            _load_code(Store(config.general.state_dir / "store"), folder / CODE)
            database["meta"].replace_one(_MARK, {**_MARK, "of": str(folder), "at": now()}, upsert=True)
            _load(database, folder)
            database["meta"].delete_one(_MARK)
        except PyMongoError as error:
            raise BackupError(
                f"The database fails in the middle of restoring ({error}); run `lab restore` with --replace again."
            ) from error
    return manifest


def _check(config: LabConfig, manifest: Manifest) -> None:
    if manifest.schema > CURRENT:
        raise BackupError(
            f"The backup has documents of version {manifest.schema}, and this hotswap-lab knows them up to version "
            f"{CURRENT}; install hotswap-lab {manifest.program} or later."
        )
    if manifest.simulation != config.general.simulation:
        kind = "a simulated" if manifest.simulation else "a real"
        raise BackupError(f"The backup is of {kind} lab, and this one is not; set general.simulation as it was there.")


def _is_empty(database: Database[Document]) -> bool:
    names = set(database.list_collection_names()) - {"meta"}
    return all(database[name].find_one({}, {"_id": 1}) is None for name in names)


def _load_code(store: Store, folder: Path) -> None:
    for path in sorted(folder.glob("*.tar")):
        archives.load(store, path)


def _load(database: Database[Document], folder: Path) -> None:
    for name in database.list_collection_names():
        if name != "meta" and not name.startswith("system."):
            database.drop_collection(name)
    database["meta"].delete_many({"_id": {"$ne": UNFINISHED}})
    for path in sorted((folder / DATABASE).glob("*.bson")):
        for batch in batches(_documents(path)):
            raw(database, path.stem).insert_many(batch, ordered=False)
    if (folder / CHANGES).exists():
        _apply(database, _documents(folder / CHANGES))


def _apply(database: Database[Document], documents: Iterator[RawBSONDocument]) -> None:
    for head in documents:
        there: Any = raw(database, head["collection"])
        if head["there"]:
            there.bulk_write([ReplaceOne({"_id": head["_id"]}, next(documents), upsert=True)])
        else:
            there.delete_one({"_id": head["_id"]})


def _documents(path: Path) -> Iterator[RawBSONDocument]:
    with path.open("rb") as file:
        yield from bson.decode_file_iter(file, codec_options=RAW)
