"""One of many processes that work on the same store: ``python store_crowd.py FOLDER NUMBER ROUNDS``.

A version counts as *old* when somebody says so by setting its time back. While a process works with an id that it just
got, nobody may say so: for this each version has a lock beside the store, which has nothing to do with the store's own.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from forgetful_disk import unhurried
from held_source import EMPTY, Held

from hotswap.errors import UnknownSnapshotError
from hotswap.store import Retention, Store

VERSIONS = 10
HOUR = Retention(keep_last=0, keep_days=0)


def version(number: int) -> Held:
    """Versions share files with their neighbours."""
    contents = {"my_lab/__init__.py": b"NUMBER = %d\n" % number, "my_lab/data.txt": b"%d" % (number // 2)}
    return Held({**contents, **{f"my_lab/part_{part}.py": b"PART = %d\n" % part for part in range(number, number + 5)}})


class Member:
    """One process."""

    def __init__(self, folder: Path, number: int) -> None:
        self.store = Store(folder / "store")
        self._folder = folder
        self._random = random.Random(number)
        self._name = f"member {number}"

    def work(self, rounds: int) -> None:
        actions: list[Callable[[int], None]] = [self.freeze, self.freeze, self.use, self.read, self.hold]
        actions += [self.collect, self.collect, self.age, self.age, self.verify]
        for _ in range(rounds):
            self._random.choice(actions)(self._random.randrange(VERSIONS))

    def freeze(self, number: int) -> None:
        """What a freeze gave is there, however old it was a moment ago."""
        with self._young(number, fcntl.LOCK_SH):
            identity = self.store.freeze(version(number), EMPTY).id
            self.store.collect(retention=HOUR)
            self._check(identity, number)
            self._note(number, identity)

    def use(self, number: int) -> None:
        """What is in use stays, even if somebody says that it is old."""
        with suppress(UnknownSnapshotError), self.store.use(self._known(number)) as snapshot:
            for _ in range(3):
                self.age(number)
                self.store.collect(retention=HOUR)
                self._check(snapshot.id, number, touch=False)

    def read(self, number: int) -> None:
        """An id that could be resolved can be opened."""
        with self._young(number, fcntl.LOCK_SH), suppress(UnknownSnapshotError):
            identity = self.store.resolve(self._known(number)[:20])
            self.store.collect(retention=HOUR)
            try:
                self._check(identity, number)
            except UnknownSnapshotError as problem:
                raise AssertionError("collected just after it was resolved") from problem

    def hold(self, number: int) -> None:
        """What is held stays, however old it is."""
        with suppress(UnknownSnapshotError):
            identity = self._known(number)
            self.store.hold(identity, self._name)
            self.age(number)
            self.store.collect(retention=HOUR)
            try:
                self._check(identity, number)
            except UnknownSnapshotError as problem:
                raise AssertionError("collected although it was held") from problem
            assert self.store.release(identity, self._name) == (self._name,)

    def collect(self, number: int) -> None:
        self.store.collect(retention=HOUR)

    def age(self, number: int) -> None:
        """Say that a version is old, unless somebody works with its id."""
        with suppress(BlockingIOError, FileNotFoundError), self._young(number, fcntl.LOCK_EX | fcntl.LOCK_NB):
            os.utime(self.store.root / "manifests" / f"{self._known(number)}.json", (0, 0))

    def verify(self, number: int) -> None:
        damages = self.store.verify()
        assert damages == [], damages
        assert all(one.package == "my_lab" for one in self.store.list())

    def _check(self, identity: str, number: int, *, touch: bool = True) -> None:
        """All of the version is there, and it is this version."""
        contents = version(number).contents
        snapshot = self.store.open(identity) if touch else next(one for one in self.store.list() if one.id == identity)
        assert {entry.path: self.store.content(entry) for entry in snapshot.files} == contents
        tree = self.store.root / "trees" / identity
        assert {path: (tree / path).read_bytes() for path in contents} == contents

    @contextmanager
    def _young(self, number: int, operation: int) -> Iterator[None]:
        with (self._folder / f"young-{number}").open("ab") as lock:
            fcntl.flock(lock, operation)
            yield

    def _note(self, number: int, identity: str) -> None:
        note = self._folder / f"id-{number}"
        if not note.exists():
            new = note.with_name(f"{note.name}.{os.getpid()}")
            new.write_text(identity)
            new.rename(note)

    def _known(self, number: int) -> str:
        note = self._folder / f"id-{number}"
        return note.read_text() if note.exists() else "0" * 64


if __name__ == "__main__":
    with unhurried():
        Member(Path(sys.argv[1]), int(sys.argv[2])).work(int(sys.argv[3]))
