"""A folder on disk as it is when it is looked at, and whether it moved since."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from stat import S_ISLNK
from typing import NamedTuple, TypeVar

from hotswap import _names
from hotswap.digest import stat_key
from hotswap.errors import MovedError
from hotswap.limits import Limits
from hotswap.source import _git, _rules

T = TypeVar("T")


class File(NamedTuple):
    """A file to freeze as ``path``, found at ``place``; ``key`` as ``stat_key`` gives it."""

    path: str
    place: str
    stat: os.stat_result
    key: str | None

    def read(self) -> bytes:
        """The content; raises ``SourceError`` if it cannot be read, or is not what was found."""
        try:
            with open(self.place, "rb", buffering=0, opener=_open) as stream:
                data = stream.read(self.stat.st_size + 1)
        except OSError as problem:
            raise _rules.unreadable(self.path, problem) from problem
        if len(data) != self.stat.st_size:
            raise moved(self.place)
        return _rules.checked(self.path, data)


class Folder:
    """The package in the folder ``root``, or the module in the file ``root``, frozen as ``name``.

    What an installer ``copied`` there counts whatever ``.gitignore`` says of the place.
    """

    def __init__(self, root: Path, name: str | None = None, *, copied: bool = False) -> None:
        alone = root.is_file()
        self.path = root
        self.root = root.parent if alone else root
        self.name = name or (root.stem if alone else root.name)
        self._only = root.name if alone else None
        self._prefix = "" if alone else f"{self.name}/"
        self.copied = copied
        self._names: list[str] = []
        self._seen: dict[str, os.stat_result | None] = {}

    def state(self) -> _git.State | None:
        """What git tells of it; None outside of git."""
        return _git.state(self.root, self._only or ".")

    def files(self, limits: Limits) -> Iterator[File]:
        """What belongs to the package now; raises ``SourceError`` naming the first that cannot be frozen."""
        root, prefix, now = str(self.root), self._prefix, time.time_ns()
        self._names = self._list()
        self._seen = {path: _lstat(root, path) for path in self._names}
        entries = {path: found for path, found in self._seen.items() if found is not None}
        links = {path: _readlink(root, path) for path, found in entries.items() if S_ISLNK(found.st_mode)}
        for path in _rules.kept(entries, self.name, root):
            target = _rules.follow(path, links, entries, f"{prefix}{path}") if path in links else path
            found, place = entries[target], f"{root}/{target}"
            _rules.check_regular(f"{prefix}{path}", found, limits)
            yield File(f"{prefix}{path}", place, found, stat_key(place, found, now))

    def check(self) -> None:
        """Raise ``SourceError`` if a file appeared, changed or went away since ``files`` looked."""
        root, names = str(self.root), aside(self._list)
        for path, before in self._seen.items():
            if not _same(before, _lstat(root, path)) and _names.counts(path):
                raise moved(f"{root}/{path}")
        new = {path for path in set(self._names) ^ set(names.result()) if _names.counts(path)}
        if new:
            raise moved(f"{root}/{min(new)}")

    def _list(self) -> list[str]:
        """Paths below the root that may belong to the package, posix and relative, in order."""
        if self._only:
            return [self._only]
        listed = None if self.copied else _git.listed(self.root)
        return sorted(_walk(str(self.root))) if listed is None else listed


def aside(action: Callable[[], T]) -> Future[T]:
    """Do ``action``, which mostly waits for another process, in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(action)
    finally:
        pool.shutdown(wait=False)


def moved(path: str) -> MovedError:
    """The error for a file that is not as it was found."""
    return MovedError(f"{path} changed while it was being frozen: freeze again when nothing is being saved.")


def _walk(root: str) -> Iterator[str]:
    todo = [""]
    while todo:
        prefix = todo.pop()
        try:
            with os.scandir(f"{root}/{prefix}") as found:
                entries = list(found)
        except OSError as problem:
            raise _rules.unreadable(f"{root}/{prefix}".rstrip("/"), problem) from problem
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield prefix + entry.name
            elif _names.counts(entry.name):
                todo.append(f"{prefix}{entry.name}/")


def _lstat(root: str, path: str) -> os.stat_result | None:
    """None for a file that git lists but that was deleted from the working tree."""
    try:
        return os.lstat(f"{root}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise _rules.unreadable(f"{root}/{path}", problem) from problem


def _readlink(root: str, path: str) -> str:
    return os.readlink(f"{root}/{path}")  # noqa: PTH115 - a Path would normalise what must be shown as it is


def _open(path: str, flags: int) -> int:
    """What was a plain file may be a pipe or a link by now: neither is waited for or followed."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    if one is None or other is None:
        return one is other
    return (
        one.st_ctime_ns == other.st_ctime_ns
        and one.st_mtime_ns == other.st_mtime_ns
        and one.st_size == other.st_size
        and one.st_ino == other.st_ino
        and one.st_mode == other.st_mode
    )
