"""Generations in files of a store: for programs that have no database.

Each generation is a file of its own that is never changed, ``generations/<app>/<number>.json``, and the highest number
is current. So one rename both records a promotion and makes it happen, and there is nothing that a crash could leave
half done.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hotswap import _disk
from hotswap.errors import StoreError
from hotswap.generations._generation import Activations, Generation, unknown

_FOLDER = "generations"
_FILE = re.compile(r"([0-9]{8})\.json")
_APP = re.compile(r"[A-Za-z0-9_-]+")


def applications(store: Path | str) -> list[str]:
    """The applications that have a current generation in the store, by name."""
    return sorted(path.name for path in Path(store, _FOLDER).glob("*") if _numbers(path))


class FileGenerations(Activations):
    """The current generation of the application ``app``, and its history, beside the snapshots in ``store``.

    Any number of processes may read and promote at once. Reading the current generation again costs two looks at
    the names in a folder.
    """

    def __init__(self, store: Path | str, app: str) -> None:
        if not _APP.fullmatch(app):
            raise StoreError(f"{app!r} cannot name an application: use letters, digits, '-' and '_'.")
        self.app = app
        self.store = Path(store).absolute()
        self._folder = self.store / _FOLDER / app
        self._newest: Generation | None = None

    def current(self) -> Generation | None:
        """The generation new work binds to; None before the first promotion."""
        number = self._newest.number if self._newest else 0
        if not self._path(number).exists():
            number = max(_numbers(self._folder), default=0)
        while self._path(number + 1).exists():
            number += 1
        if self._newest is None or self._newest.number != number:
            self._newest = self._read(number) if number else None
        return self._newest

    def _activate(self, generation: Generation, expected: int | None) -> None:
        with self._promoting():
            self._expect(expected)
            self._publish(generation)

    def get(self, number: int) -> Generation:
        """The generation with this number. Raises UnknownGenerationError."""
        current = self.current()
        if current is None or not 1 <= number <= current.number:
            raise unknown(number, current)
        return self._read(number)

    def history(self, limit: int = 50) -> list[Generation]:
        """The newest ``limit`` generations, the current one first."""
        current = self.current()
        newest = current.number if current else 0
        return [self._read(number) for number in range(newest, max(0, newest - limit), -1)]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.json"

    def _read(self, number: int) -> Generation:
        path = self._path(number)
        try:
            return Generation.from_dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise StoreError(
                f"Generation {number} in {path} cannot be read ({problem}): put the file back from a copy, or remove "
                "it and all newer ones, then promote again."
            ) from problem

    @contextmanager
    def _promoting(self) -> Iterator[None]:
        """Promoters take turns; the lock goes with the process that holds it."""
        try:
            _disk.make_folders(str(self._folder))
            lock = (self._folder / "lock").open("ab")
        except OSError as problem:
            raise StoreError(
                f"{self._folder} cannot be written ({problem.strerror}): make it writable or choose another store."
            ) from problem
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _publish(self, generation: Generation) -> None:
        path = self._path(generation.number)
        temporary = str(path.with_suffix(".new"))
        _disk.unlink(temporary)  # of one that was cut off
        _disk.write(temporary, json.dumps(generation.to_dict(), indent=2).encode("ascii"), 0o644)
        _disk.fsync(temporary)
        _disk.rename(temporary, str(path))
        _disk.fsync(str(self._folder))


def _numbers(folder: Path) -> list[int]:
    return [int(found[1]) for path in folder.glob("*.json") if (found := _FILE.fullmatch(path.name))]
