"""The manifests of a store: what makes a snapshot exist, and what those who use one hold on to."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from hotswap import _disk
from hotswap._fields import Fields
from hotswap.digest import hash_bytes
from hotswap.errors import DamagedError, ManifestError, StoreError, UnknownSnapshotError
from hotswap.snapshot import FileEntry, Snapshot
from hotswap.store._refusals import names_in, unreadable

FORMAT = 1

_NAME = re.compile(r"([0-9a-f]{64})\.json")
_COMPILED = re.compile(r"(.*/|)__pycache__/([^/]+)\.[a-z0-9-]+\.pyc")
_HEAD = re.compile(rb'\{"format": (\d+)')
_CHECKSUM = b', "checksum": "%s"}\n'
_TAIL = len(_CHECKSUM % (b"0" * 64))


class InUseError(StoreError):
    """Somebody uses a snapshot that should go."""


@dataclass(frozen=True, slots=True)
class Record:
    """A manifest: the snapshot, and the byte-code that its tree holds beside its files."""

    snapshot: Snapshot
    bytecode: tuple[FileEntry, ...]

    def contents(self) -> tuple[FileEntry, ...]:
        """All that the tree holds."""
        return self.snapshot.files + self.bytecode

    def to_bytes(self) -> bytes:
        """One JSON object; its last member is the digest of all bytes before that member."""
        plain = {"format": FORMAT, "snapshot": self.snapshot.to_dict(), "bytecode": self.bytecode}
        body = json.dumps(plain).encode("ascii").removesuffix(b"}")
        return body + _CHECKSUM % hash_bytes(body).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """The opposite of ``to_bytes``; raises ``ValueError`` unless the checksum is right, or ``ManifestError``."""
        body, tail = data[:-_TAIL], data[-_TAIL:]
        if tail != _CHECKSUM % hash_bytes(body).encode("ascii"):
            raise ValueError("its checksum is wrong")
        fields = Fields(json.loads(body + b"}"), "the manifest")
        snapshot = Snapshot.from_dict(fields.value("snapshot"))
        return cls(snapshot, _bytecode(fields.items("bytecode"), snapshot))


class Manifests:
    """The manifests in ``folder``."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder = folder
        self._staging = staging

    def path(self, identity: str) -> Path:
        """Where the manifest of a snapshot is."""
        return self.folder / f"{identity}.json"

    def names(self) -> list[str]:
        """Everything in the folder."""
        return names_in(self.folder)

    def ids(self) -> list[str]:
        """The ids of all snapshots."""
        return [match[1] for name in self.names() if (match := _NAME.fullmatch(name))]

    def load(self, identity: str) -> Record:
        """Raises ``UnknownSnapshotError``, ``DamagedError``, or ``StoreError`` for a format that is not known."""
        path = self.path(identity)
        try:
            data = path.read_bytes()
            _check_format(path, data)
            record, consistent = _parsed(data)
        except FileNotFoundError as problem:
            raise unknown(self.folder.parent, identity) from problem
        except PermissionError as problem:
            raise unreadable(path, problem) from problem
        except ManifestError as problem:
            raise _damaged(f"{path} cannot be used ({problem.reason})") from problem
        except (OSError, ValueError, RecursionError) as problem:
            raise _damaged(f"{path} cannot be read ({problem})") from problem
        if record.snapshot.id != identity or not consistent:
            raise _damaged(f"{path} does not hash to its name")
        return record

    def publish(self, record: Record) -> None:
        """Make a snapshot exist."""
        _disk.replace(str(self.path(record.snapshot.id)), record.to_bytes(), str(self._staging))

    def withdraw(self, identity: str) -> None:
        """Return when the snapshot does not exist any more, whatever happens."""
        _disk.unlink(str(self.path(identity)))
        _disk.fsync(str(self.folder))

    def used_at(self, identity: str) -> datetime:
        """When the id was last handed out; raises ``UnknownSnapshotError`` when it was collected meanwhile."""
        try:
            return datetime.fromtimestamp(self.path(identity).stat().st_mtime, UTC)
        except FileNotFoundError as problem:
            raise unknown(self.folder.parent, identity) from problem
        except OSError as problem:
            raise unreadable(self.path(identity), problem) from problem

    @contextmanager
    def used(self, identity: str) -> Iterator[None]:
        """Keep the snapshot from being collected, and note that its id was handed out now.

        Raises ``UnknownSnapshotError`` when it was collected meanwhile.
        """
        with self._locked(identity, fcntl.LOCK_SH) as descriptor:
            with suppress(OSError):  # who may only read the store has no grace, and must use what it needs
                _disk.touch(descriptor)
            yield

    @contextmanager
    def looked_at(self, identity: str) -> Iterator[None]:
        """As ``used``, for those who only look after the store."""
        with self._locked(identity, fcntl.LOCK_SH):
            yield

    @contextmanager
    def unused(self, identity: str) -> Iterator[None]:
        """Keep everybody from using the snapshot; raises ``InUseError`` while somebody does."""
        with self._locked(identity, fcntl.LOCK_EX | fcntl.LOCK_NB) as descriptor:
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor, too

    @contextmanager
    def _locked(self, identity: str, operation: int) -> Iterator[int]:
        descriptor = self._lock(identity, operation)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _lock(self, identity: str, operation: int) -> int:
        while True:
            try:
                descriptor = os.open(self.path(identity), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as problem:
                raise unknown(self.folder.parent, identity) from problem
            except OSError as problem:
                raise unreadable(self.path(identity), problem) from problem
            try:
                fcntl.flock(descriptor, operation)
                if os.fstat(descriptor).st_nlink:  # else it was removed before we had the lock
                    return descriptor
            except BlockingIOError as problem:
                os.close(descriptor)
                raise InUseError(f"Snapshot {identity[:12]} is in use: collect it later.") from problem
            except BaseException:  # whatever ends the wait, the descriptor must not stay open
                os.close(descriptor)
                raise
            os.close(descriptor)


def _bytecode(items: list[Any], snapshot: Snapshot) -> tuple[FileEntry, ...]:
    """Byte-code of files of the snapshot, whose paths are known to lead nowhere else."""
    found = {entry.path: entry for entry in map(FileEntry.from_list, items)}
    sources = {entry.path for entry in snapshot.files}
    for path in found:
        match = _COMPILED.fullmatch(path)
        if match is None or f"{match[1]}{match[2]}.py" not in sources:
            raise ManifestError(f"{path!r} is not the byte-code of a file of the snapshot")
    if len(found) < len(items):
        raise ManifestError("byte-code is listed twice")
    return tuple(found.values())


@lru_cache(maxsize=2)
def _parsed(data: bytes) -> tuple[Record, bool]:
    """The record, and whether it hashes to its name: looked into once, as long as a manifest has the same bytes."""
    record = Record.from_bytes(data)
    return record, record.snapshot.is_consistent()


def _check_format(path: Path, data: bytes) -> None:
    """Another format may have another checksum, so this comes first."""
    head = _HEAD.match(data)
    if head and int(head[1]) != FORMAT:
        told = head[1].decode("ascii")
        raise StoreError(
            f"The manifest {path} has format {told}, but this version reads format {FORMAT}: upgrade hotswap."
        )


def _damaged(what: str) -> DamagedError:
    return DamagedError(f"The manifest {what}: freeze the code again, or import it from an archive.")


def unknown(root: Path, name: str) -> UnknownSnapshotError:
    """The error for an id or prefix that no snapshot has."""
    return UnknownSnapshotError(f"No snapshot in {root} starts with {name!r}: see `hotswap list`.")
