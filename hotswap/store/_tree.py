"""The importable tree of a snapshot: built from objects, checked against what it should hold."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE, S_ISREG

from hotswap import _disk
from hotswap.digest import hash_file
from hotswap.snapshot import FileEntry
from hotswap.store._objects import Objects, missing

_FOLDER_MODE = 0o555
_NO_LINK = {errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES}


def build(tree: Path, entries: Iterable[FileEntry], objects: Objects) -> None:
    """Fill the new folder ``tree``, durably and read-only.

    Raises ``DamagedError`` if an object is missing or has another size.
    """
    todo = list(entries)
    places = _make_folders(str(tree), (entry.path for entry in todo))
    copies = [copy for entry in todo if (copy := _place(entry, f"{tree}/{entry.path}", objects))]
    for place in places:
        _disk.chmod(place, _FOLDER_MODE)
    _disk.flush([*copies, *places])


def replace(tree: Path, entry: FileEntry, objects: Objects, staging: Path) -> None:
    """Put one file of a tree in its place again, durably; who has it open keeps what was there."""
    objects.protect(entry.digest)
    temporary, destination = staging / entry.digest, tree / entry.path
    if is_linked(entry) and destination.exists() and destination.samefile(objects.path(entry.digest)):
        return
    _place(entry, str(temporary), objects)
    _disk.fsync(str(temporary))
    with _unlocked(tree, destination.parent):
        if is_folder(destination):
            discard(destination)
        _disk.rename(str(temporary), str(destination))


def remove(tree: Path, path: str) -> None:
    """Remove, durably, a file or folder that does not belong to a tree."""
    place = tree / path
    if not os.path.lexists(place):  # it went with its folder
        return
    with _unlocked(tree, place.parent):
        if is_folder(place):
            discard(place)
        else:
            _disk.unlink(str(place))


def protect(tree: Path, path: str) -> None:
    """Make a folder of a tree read-only again, durably."""
    _disk.chmod(str(tree / path), _FOLDER_MODE)
    _disk.fsync(str(tree / path))


def is_folder(place: Path) -> bool:
    """Whether there is a folder, not a link to one."""
    return place.is_dir() and not place.is_symlink()


def discard(tree: Path | str) -> None:
    """Remove a tree, read-only as it is, or what a crash left of one."""
    try:
        _disk.chmod(str(tree), 0o755)
        entries = list(os.scandir(tree))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            discard(entry.path)
        else:
            _disk.unlink(entry.path)
    _disk.rmdir(str(tree))


def shape_problems(tree: Path, entries: Iterable[FileEntry]) -> Iterator[tuple[str, str]]:
    """``(path, what is wrong)`` as far as names, sizes and modes tell, without reading any content."""
    expected = {entry.path: entry for entry in entries}
    for path, found in _found(str(tree)):
        entry = expected.pop(path, None)
        if entry is None:
            yield path, "the file does not belong to the snapshot"
        elif problem := _misshapen(found, entry):
            yield path, problem
    yield from ((path, "the file is missing") for path in expected)


def folder_problems(tree: Path, entries: Iterable[FileEntry]) -> Iterator[tuple[str, str]]:
    """``(path, what is wrong)`` of folders; that of the tree is ``.``."""
    expected = folders(entry.path for entry in entries)
    for place, _, _ in os.walk(tree):
        path = os.path.relpath(place, tree)
        mode = S_IMODE(os.stat(place).st_mode)  # noqa: PTH116 - as os.walk gives it
        if path not in expected:
            yield path, "the folder does not belong to the snapshot"
        elif mode != _FOLDER_MODE:
            yield path, f"the folder has mode {mode:o} instead of {_FOLDER_MODE:o}"


def content_problem(tree: Path, entry: FileEntry, objects: Objects) -> str | None:
    """What is wrong with the content of one file whose object is known to be sound."""
    path = tree / entry.path
    try:
        if path.samefile(objects.path(entry.digest)):
            return None
        return None if hash_file(path) == entry.digest else "the file was changed"
    except FileNotFoundError:
        return None  # told by its shape
    except OSError as problem:
        return f"the file cannot be read ({problem.strerror})"


@contextmanager
def _unlocked(tree: Path, folder: Path) -> Iterator[None]:
    """Let the files of ``folder``, which is made if it is not there, be replaced."""
    chain = [one for one in (folder, *folder.parents) if one.is_relative_to(tree)]
    absent = [one for one in chain if not one.is_dir()]
    changed = chain[: len(absent) + 1]
    for one in reversed(changed):
        if one in absent:
            _disk.mkdir(str(one))
        _disk.chmod(str(one), 0o755)
    try:
        yield
    finally:
        for one in changed:
            _disk.chmod(str(one), _FOLDER_MODE)
        _disk.flush(map(str, changed))


def _make_folders(tree: str, paths: Iterable[str]) -> list[str]:
    """All folders of the tree, deepest last."""
    places = [tree, *(f"{tree}/{folder}" for folder in sorted(folders(paths)) if folder != ".")]
    for place in places:
        _disk.mkdir(place)
    return places


def folders(paths: Iterable[str]) -> set[str]:
    """The folders that files at these paths lie in, at any depth; that of the tree is ``.``."""
    direct = {path.rpartition("/")[0] for path in paths}
    return {folder or "." for path in direct for folder in (path, *_parents(path))} | {"."}


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _place(entry: FileEntry, destination: str, objects: Objects) -> str | None:
    """Link or copy one object into a tree; returns the destination if it is a copy."""
    source = objects.path(entry.digest)
    try:
        objects.look_at(entry.digest, entry.size)
        if is_linked(entry) and _link(source, destination):
            return None
        _disk.copy(source, destination, _mode(entry))
    except FileNotFoundError as problem:
        raise missing(source) from problem
    return destination


def _link(source: str, destination: str) -> bool:
    """False where the file system has no links, or no more of them."""
    try:
        _disk.link(source, destination)
    except OSError as problem:
        if problem.errno in _NO_LINK:
            return False
        raise
    return True


def is_linked(entry: FileEntry) -> bool:
    """Only plain code: ``dlopen`` tells libraries apart by inode, and data are what programs write to."""
    return entry.mode == 0o644 and entry.path.endswith((".py", ".pyc"))


def _mode(entry: FileEntry) -> int:
    return entry.mode & 0o555


def _found(folder: str, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _found(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat(follow_symlinks=False)


def _misshapen(found: os.stat_result, entry: FileEntry) -> str | None:
    if not S_ISREG(found.st_mode):
        return "it is not a plain file"
    if found.st_size != entry.size:
        return f"the file has {found.st_size} bytes instead of {entry.size}"
    if S_IMODE(found.st_mode) != _mode(entry):
        return f"the file has mode {S_IMODE(found.st_mode):o} instead of {_mode(entry):o}"
    return None
