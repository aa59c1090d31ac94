"""A depot: snapshots in the GridFS of a database, for other hosts to fetch, and to mend a store from.

Each content is a file there, and so is each manifest, with a name that follows from what is in it. So whoever writes
one again writes the same, and completes what was cut off. A manifest is written when all that it lists is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from gridfs import GridFSBucket
from gridfs.errors import CorruptGridFile, NoFile
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from hotswap.digest import canonical_json, hash_bytes
from hotswap.errors import DamagedError, ManifestError, SourceError, StoreError, UnknownSnapshotError
from hotswap.snapshot import SHORT, FileEntry, Snapshot
from hotswap.source import StoredSource
from hotswap.store import Frozen, Progress, Store

Document = dict[str, Any]

BUCKET: Final = "hotswap"
_NAME: Final = "hotswap"  # of the database, where the URL has none
_MANIFEST: Final = "manifest:"
_AFTER_HEX: Final = "g"
_CHUNK: Final = 255 * 1024
_ASKED: Final = 1_000
_ANSWER_MS: Final = 5_000


class Pushed(NamedTuple):
    """A snapshot that is in the depot, and how many of its contents were not there before."""

    snapshot: Snapshot
    new: int


@contextmanager
def opened(url: str) -> Iterator[Depot]:
    """The depot in the database that a ``mongodb://`` URL names. Raises StoreError, without the URL's password."""
    where = url.rpartition("@")[2].rpartition("://")[2].partition("/")[0]
    try:
        with _answering(where):
            client: MongoClient[Document] = MongoClient(url, serverSelectionTimeoutMS=_ANSWER_MS)
    except ValueError:
        # Not from the error, which quotes what may be a password.
        raise StoreError("The URL of the database is not one of MongoDB: write mongodb://host:port/name.") from None
    with client:
        yield Depot(client.get_default_database(_NAME), where)


class Depot:
    """The snapshots in a database; ``where`` is what errors call it. Raises StoreError when it does not answer."""

    def __init__(self, database: Database[Document], where: str = "MongoDB") -> None:
        self._where = where
        self._files = database[f"{BUCKET}.files"]
        self._chunks = database[f"{BUCKET}.chunks"]
        self._bucket = GridFSBucket(database, BUCKET)

    def push(self, store: Store, name: str, progress: Progress | None = None) -> Pushed:
        """Write the snapshot with this id or unambiguous prefix into the depot; what is there is not written again.

        ``progress`` is called with the number of contents dealt with, and of all. Raises as ``Store.open``.
        """
        with store.use(name) as snapshot, _answering(self._where):
            self._chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
            contents = list({entry.digest: entry for entry in snapshot.files}.values())
            there = self._there(contents)
            for count, entry in enumerate(contents, 1):
                if entry.digest not in there:
                    self._write(entry.digest, store.content(entry))
                if progress is not None:
                    progress(count, len(contents))
            self._write(f"{_MANIFEST}{snapshot.id}", canonical_json(snapshot.to_dict()))
            return Pushed(snapshot, len(contents) - len(there))

    def fetch(self, store: Store, name: str, *, hold: str | None = None, progress: Progress | None = None) -> Frozen:
        """Freeze the snapshot with this id or unambiguous prefix, with its id, origin and environment, into ``store``.

        Only contents that the store lacks are read, and all are checked. Otherwise as ``Store.ensure``. Raises
        UnknownSnapshotError, and SourceError when something in the depot is damaged.
        """
        snapshot = self._manifest(self.resolve(name))
        source = StoredSource(snapshot, partial(self._read_for, store, snapshot.id))
        return store.ensure(source, snapshot.environment, hold=hold, frozen_at=snapshot.frozen_at, progress=progress)

    def resolve(self, prefix: str) -> str:
        """The full id that starts with ``prefix``. Raises UnknownSnapshotError if there is none, or several."""
        start = f"{_MANIFEST}{prefix}"
        with _answering(self._where):
            query = {"_id": {"$gte": start, "$lt": start + _AFTER_HEX}}
            found = [str(one["_id"]).removeprefix(_MANIFEST) for one in self._files.find(query, {"_id": 1}).limit(2)]
        if len(found) == 1:
            return found[0]
        why = f"several snapshots start with {prefix!r}: give more" if found else f"nothing starts with {prefix!r}"
        raise UnknownSnapshotError(f"No snapshot is meant in the database at {self._where}: {why}.")

    def content(self, digest: str) -> bytes | None:
        """The content with this digest; None if the depot has none, or a damaged one, which the next push replaces."""
        data = self._read(digest)
        if data is not None and hash_bytes(data) == digest:
            return data
        with _answering(self._where):
            self._files.delete_one({"_id": digest})
        return None

    def _read_for(self, store: Store, identity: str, entry: FileEntry) -> bytes:
        with suppress(DamagedError):  # the store lacks it
            return store.content(entry)
        data = self.content(entry.digest)
        if data is None:
            raise self._damaged(identity)
        return data

    def _manifest(self, identity: str) -> Snapshot:
        try:
            snapshot = Snapshot.from_dict(json.loads(self._read(f"{_MANIFEST}{identity}") or b""))
        except (ValueError, ManifestError) as problem:
            raise self._damaged(identity) from problem
        if snapshot.id != identity or not snapshot.is_consistent():
            raise self._damaged(identity)
        return snapshot

    def _damaged(self, identity: str) -> SourceError:
        return SourceError(
            f"Snapshot {identity[:SHORT]} is damaged in the database at {self._where}: push it again from a store "
            "that has it."
        )

    def _there(self, contents: Sequence[FileEntry]) -> set[str]:
        """The digests of those that are in the depot, as far as their size tells."""
        found: set[str] = set()
        for start in range(0, len(contents), _ASKED):
            sizes = {entry.digest: entry.size for entry in contents[start : start + _ASKED]}
            known = self._files.find({"_id": {"$in": list(sizes)}}, {"length": 1})
            found.update(str(one["_id"]) for one in known if one["length"] == sizes[str(one["_id"])])
        return found

    def _write(self, name: str, data: bytes) -> None:
        """As GridFS has files, but replacing piece by piece what may be there: two who write it do no harm."""
        for number, start in enumerate(range(0, len(data), _CHUNK)):
            place: Document = {"files_id": name, "n": number}
            _put(self._chunks, place, {**place, "data": data[start : start + _CHUNK]})
        facts = {"length": len(data), "chunkSize": _CHUNK, "uploadDate": datetime.now(UTC), "filename": name}
        _put(self._files, {"_id": name}, {"_id": name, **facts})

    def _read(self, name: str) -> bytes | None:
        with _answering(self._where):
            try:
                return bytes(self._bucket.open_download_stream(name).read())
            except (NoFile, CorruptGridFile):
                return None


def _put(collection: Any, query: Document, document: Document) -> None:
    with suppress(DuplicateKeyError):  # somebody wrote the same at the same time
        collection.replace_one(query, document, upsert=True)


@contextmanager
def _answering(where: str) -> Iterator[None]:
    """Turn what the database, or the way to it, has against a request into a sentence."""
    try:
        yield
    except PyMongoError as problem:
        cause = re.split(r", | \(configured", str(problem))[0]
        raise StoreError(f"The database at {where} fails ({cause}): see that it runs, and lets you in.") from problem
