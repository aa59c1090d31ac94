"""Takes a backup, of a laboratory at work or at rest.

The collections are copied one after the other. What changes meanwhile is read again at the end, until a look at the
change stream finds nothing more: then the backup is the database as it was at that moment. A lab that never rests for
as long as a look takes is copied to within the milliseconds of the last one.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Final

import bson
from pymongo.database import Database

from hotswap import archive as archives
from hotswap.errors import HotswapError, UnknownSnapshotError
from hotswap.store import Store
from lab import migrations
from lab.archiving.documents import raw
from lab.backup.changes import Changes, Key, watched
from lab.backup.manifest import CHANGES, CODE, DATABASE, BackupError, Manifest
from lab.managers.collection import CollectionManager
from lab.records import Document, Records, new_id, now
from lab.services.access import database_of
from lab.settings.config import LabConfig

NOT_KEPT: Final = frozenset({"workers"})
"""Collections that say which processes run."""

_MOST_LOOKS: Final = 5
_ASKED: Final = 500


def take(config: LabConfig, folder: Path) -> Manifest:
    """Write a backup into a new or empty folder: all of it or nothing.

    ``config`` is revealed. Raises BackupError, and HotswapError when the database does not answer.
    """
    unfinished = folder.absolute().with_name(f".{folder.name}.{new_id()}.new")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BackupError(f"{folder} is not empty; name a new or an empty folder.")
        unfinished.mkdir(parents=True, mode=0o700)
        manifest = _take(config, unfinished)
        unfinished.replace(folder)
    except TimeoutError as error:
        raise BackupError(f"The database fails ({error}); try again.") from error
    except OSError as error:
        raise BackupError(f"The backup cannot be written to {folder} ({error.strerror}); choose another.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def _take(config: LabConfig, folder: Path) -> Manifest:
    with database_of(config) as database:
        manifest = Manifest(
            lab=config.general.name,
            database=config.database,
            simulation=config.general.simulation,
            schema=migrations.check(database),
            taken_at=now().isoformat(),
            program=metadata.version("hotswap-lab"),
        )
        with watched(database) as changes:
            _copy_all(database, folder / DATABASE)
            manifest.settled = changes is not None and _copy_changes(database, changes, folder / CHANGES)
        _export_code(config, Records(database), folder / CODE, manifest)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        manifest.add(folder, path)
    manifest.write(folder)
    return manifest


def _copy_all(database: Database[Document], folder: Path) -> None:
    folder.mkdir()
    for name in sorted(database.list_collection_names()):
        if name in NOT_KEPT or name.startswith("system."):
            continue
        with (folder / f"{name}.bson").open("xb") as file:
            for document in raw(database, name).find():
                file.write(document.raw)


def _copy_changes(database: Database[Document], changes: Changes, path: Path) -> bool:
    """Whether a look found nothing more."""
    with path.open("xb") as file:
        for _ in range(_MOST_LOOKS):
            changed = {key for key in changes.since_then() if key[0] not in NOT_KEPT}
            if not changed:
                return True
            _copy_again(database, changed, file)
    return False


def _copy_again(database: Database[Document], changed: Iterable[Key], file: BinaryIO) -> None:
    by_collection: defaultdict[str, list[Any]] = defaultdict(list)
    for name, identity in changed:
        by_collection[name].append(identity)
    for name, identities in by_collection.items():
        for start in range(0, len(identities), _ASKED):
            asked = identities[start : start + _ASKED]
            found = {each["_id"]: each for each in raw(database, name).find({"_id": {"$in": asked}})}
            for identity in asked:
                # Two documents: together they could be larger than one may be.
                file.write(bson.encode({"collection": name, "_id": identity, "there": identity in found}))
                if identity in found:
                    file.write(found[identity].raw)


def _export_code(config: LabConfig, records: Records, folder: Path, manifest: Manifest) -> None:
    """What the documents refer to, as the lab's own collection of garbage sees it."""
    folder.mkdir()
    store = Store(config.general.state_dir / "store")
    for snapshot in sorted(CollectionManager(records, store, config.snapshots).references()):
        try:
            archives.export(store, snapshot, folder / f"{snapshot}.tar")
        except UnknownSnapshotError:
            manifest.missing.append(snapshot)
        except HotswapError as error:
            raise BackupError(f"Code version {snapshot[:12]} cannot be backed up: {error}") from error
