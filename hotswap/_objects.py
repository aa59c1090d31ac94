"""The objects of a store: each distinct content once, read-only, under its digest; and what makes writes durable."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hotswap.digest import hash_bytes, hash_file
from hotswap.errors import DamagedError

_FEW = 32


class Objects:
    """Content-addressed files; new ones are *staged* first and become visible together with ``publish``."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self._folder = str(folder)
        self._staging = str(staging)
        self._staged: set[str] = set()

    def path(self, digest: str) -> str:
        """Where the content is once it is published."""
        return f"{self._folder}/{digest[:2]}/{digest[2:]}"

    def stage(self, data: bytes) -> str:
        """Write ``data`` if the store does not have it yet; returns its digest."""
        digest = hash_bytes(data)
        if digest not in self._staged and not os.path.exists(self.path(digest)):  # noqa: PTH110 - per file
            _write(f"{self._staging}/{digest}", data)
            self._staged.add(digest)
        return digest

    def publish(self) -> None:
        """Make what was staged durable, then visible."""
        flush_files(f"{self._staging}/{digest}" for digest in self._staged)
        folders = {f"{self._folder}/{digest[:2]}" for digest in self._staged}
        for folder in folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - per file
        for digest in self._staged:
            os.rename(f"{self._staging}/{digest}", self.path(digest))  # noqa: PTH104 - per file
        if folders:
            flush_folders([*folders, self._folder])
        self._staged.clear()

    def discard(self) -> None:
        """Forget what was staged and not published."""
        for digest in self._staged:
            Path(self._staging, digest).unlink(missing_ok=True)
        self._staged.clear()

    def read(self, digest: str) -> bytes:
        """The content, staged or published; raises ``DamagedError`` unless it hashes to its name."""
        place = f"{self._staging}/{digest}" if digest in self._staged else self.path(digest)
        data = _read(place)
        if data is None or hash_bytes(data) != digest:
            raise missing(place)
        return data

    def damage(self, digest: str) -> str | None:
        """What is wrong with a published object, or None."""
        try:
            return None if hash_file(Path(self.path(digest))) == digest else "its object does not hash to its name"
        except FileNotFoundError:
            return "its object is missing"
        except OSError as problem:
            return f"its object cannot be read ({problem.strerror})"


def missing(path: str) -> DamagedError:
    """The error for an object that is not there, or not what it was."""
    return DamagedError(f"The object {path} is missing or damaged: run `hotswap verify` to see what it affects.")


def write_durably(path: Path, data: bytes, staging: Path) -> None:
    """Make ``path`` appear as a whole: a reader sees all of it or nothing, after any crash."""
    temporary = staging / path.name
    _write(str(temporary), data)
    flush_files([str(temporary)])
    temporary.rename(path)
    flush_folders([str(path.parent)])


def flush_files(paths: Iterable[str]) -> None:
    """Return when the content of these files is on disk."""
    todo = list(paths)
    if len(todo) > _FEW:  # one sync of everything is far cheaper than thousands of single ones
        os.sync()
        return
    for path in todo:
        _fsync(path)


def flush_folders(paths: Iterable[str]) -> None:
    """Return when the names in these folders are on disk."""
    for path in paths:
        _fsync(path)


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444)
    with open(descriptor, "wb", buffering=0) as stream:  # noqa: PTH123 - it is a descriptor
        view = memoryview(data)
        while view:
            view = view[stream.write(view) :]


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
