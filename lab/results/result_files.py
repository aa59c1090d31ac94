"""Large results in the database: files in GridFS, written and read in pieces."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO, Final, cast

from blake3 import blake3
from gridfs import GridFSBucket, GridOut
from gridfs.errors import NoFile
from pymongo.database import Database

from lab.records import Document, new_id, now
from lab.refusals import NotFoundError
from lab.results.large_result import REFERENCE, LargeResult

BUCKET: Final = "results"
PIECE: Final = 1024 * 1024
"""How much of a file is in memory at a time, in bytes."""


class ResultFiles:
    """The files of one laboratory. Each tells in its metadata whose it is: ``task`` and ``experiment``."""

    def __init__(self, database: Database[Document]) -> None:
        self._files = database[f"{BUCKET}.files"]
        self._pieces = database[f"{BUCKET}.chunks"]
        self._bucket = GridFSBucket(database, BUCKET)

    def create_indexes(self) -> None:
        """Make the indexes that reading and forgetting rely on; safe to repeat."""
        self._pieces.create_index([("files_id", 1), ("n", 1)], unique=True)
        self._files.create_index([("metadata.experiment", 1)])

    def store(self, large: LargeResult, task: str, experiment: str) -> Document:
        """Store it, and return the reference that stands for it in records. What fails leaves nothing."""
        identifier = new_id()
        try:
            with large.open() as file:
                size, digest = self._write(identifier, file)
            facts = {"length": size, "chunkSize": PIECE, "uploadDate": now(), "filename": large.name}
            metadata = {"task": task, "experiment": experiment, "blake3": digest}
            self._files.insert_one({"_id": identifier, **facts, "metadata": metadata})
        except BaseException:  # whatever cuts it short, pieces without a file would stay for ever
            self._pieces.delete_many({"files_id": identifier})
            raise
        reference = {REFERENCE: identifier, "name": large.name, "size": size, "blake3": digest}
        large.stored_as(reference)
        return reference

    def _write(self, identifier: str, file: BinaryIO) -> tuple[int, str]:
        """Write the pieces as GridFS has them, which by itself would gather 48 MB before it writes any."""
        digest, size, number = blake3(), 0, 0
        while piece := _whole_piece(file):
            digest.update(piece)
            self._pieces.insert_one({"files_id": identifier, "n": number, "data": piece})
            size, number = size + len(piece), number + 1
        return size, digest.hexdigest()

    def open(self, identifier: str) -> GridOut:
        """Raises NotFoundError."""
        try:
            return self._bucket.open_download_stream(identifier)
        except NoFile:
            raise NotFoundError(
                f"There is no large result {identifier!r}; a task's result names those it has."
            ) from None

    def of(self, reference: Mapping[str, Any]) -> BinaryIO:
        """The file that a reference names. Raises NotFoundError."""
        return cast(BinaryIO, self.open(reference[REFERENCE]))

    def discard(self, identifiers: Collection[str]) -> None:
        """Delete files; those that are gone are no error."""
        for identifier in identifiers:
            try:
                self._bucket.delete(identifier)
            except NoFile:
                continue

    def forget(self, experiments: Collection[str]) -> int:
        """Delete all files of experiments that are deleted; returns how many."""
        query: dict[str, Any] = {"metadata.experiment": {"$in": list(experiments)}}
        found = [each["_id"] for each in self._files.find(query, {"_id": 1})]
        self.discard(found)
        return len(found)


def _whole_piece(file: BinaryIO) -> bytes:
    """As much as a piece holds, less only at the end; pipes and sockets give less at a time."""
    piece = file.read(PIECE)
    while piece and len(piece) < PIECE and (more := file.read(PIECE - len(piece))):
        piece += more
    return piece


def pieces(file: GridOut) -> Iterator[bytes]:
    """The content of an open file, and its end."""
    with file:
        while piece := file.read(PIECE):
            yield piece
