"""The one place through which a store changes the disk.

Each function is a single step, so a crash comes before or after it, and a test can count, fail or record them all.
Paths are strings, because trees have tens of thousands of files.
"""

# A Path for each file would cost more than the call.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH112, PTH119, PTH120

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

LONG_AGO_NS = 946_684_800 * 10**9
"""The time of a file that nobody wrote to since it was made: the start of the year 2000, in UTC."""

_FEW = 32
_CHUNK = 1 << 20


def write(path: str, data: bytes, mode: int = 0o444, *, backdated: bool = False) -> None:
    """Create a file with this content and mode; raises ``FileExistsError`` if it is there."""
    descriptor = _create(path, mode)
    try:
        _write_all(descriptor, data)
        if backdated:
            os.utime(descriptor, ns=(LONG_AGO_NS, LONG_AGO_NS))
    finally:
        os.close(descriptor)


def copy(source: str, destination: str, mode: int) -> None:
    """Create a file with the content of another one."""
    origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        descriptor = _create(destination, mode)
        try:
            while chunk := os.read(origin, _CHUNK):
                _write_all(descriptor, chunk)
        finally:
            os.close(descriptor)
    finally:
        os.close(origin)


def link(source: str, destination: str) -> None:
    """Give a file another name."""
    os.link(source, destination)


def rename(source: str, destination: str) -> None:
    """Move a file or folder, replacing a file."""
    os.rename(source, destination)


def mkdir(path: str) -> None:
    """Create a folder."""
    os.mkdir(path)


def chmod(path: str, mode: int) -> None:
    """Set who may do what."""
    os.chmod(path, mode)


def unlink(path: str) -> None:
    """Remove a name of a file; none is fine."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def rmdir(path: str) -> None:
    """Remove an empty folder; none is fine."""
    with suppress(FileNotFoundError):
        os.rmdir(path)


def touch(descriptor: int) -> None:
    """Set the time of an open file to now."""
    os.utime(descriptor)


def backdate(path: str) -> None:
    """Set the time of a file to ``LONG_AGO_NS``."""
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def fsync(path: str) -> None:
    """Return when the content of this file, or the names in this folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: str) -> None:
    """Return when everything in the file system of ``path`` is on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _syncfs(descriptor)
    finally:
        os.close(descriptor)


def flush(paths: Iterable[str]) -> None:
    """``fsync`` these files and folders, all in one file system."""
    todo = list(paths)
    if len(todo) > _FEW:  # one sync of everything is far cheaper than thousands of single ones
        sync(todo[0])
        return
    for path in todo:
        fsync(path)


def make_folders(path: str) -> None:
    """Create a folder, with those above it, durably; it may be there."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folders(above)
    with suppress(FileExistsError):
        mkdir(path)
    fsync(above)


def replace(path: str, data: bytes, staging: str, *, backdated: bool = False) -> None:
    """Make a file appear under ``path`` durably and as a whole: after any crash there is all of it or none.

    The folder ``staging``, in the same file system, has it until then.
    """
    temporary = f"{staging}/{os.path.basename(path)}"
    write(temporary, data, backdated=backdated)
    fsync(temporary)
    rename(temporary, path)
    fsync(os.path.dirname(path))


def open_lock(path: str) -> int:
    """A descriptor to lock; the file is created if need be."""
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)


def _create(path: str, mode: int) -> int:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    os.fchmod(descriptor, mode)  # whatever the umask
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _syncfs(descriptor: int) -> None:
    syncfs = _libc_syncfs()
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _libc_syncfs() -> Any:
    """Unlike ``os.sync`` it leaves other disks alone, and tells of errors; not every system has it."""
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
