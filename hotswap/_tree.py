"""The importable tree of a snapshot: built from objects, checked against what it should hold."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_IMODE, S_ISREG

from hotswap._objects import Objects, flush_files, flush_folders, missing
from hotswap.digest import hash_file
from hotswap.snapshot import FileEntry

_FOLDER_MODE = 0o555
_NO_LINK = {errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES}


def build(tree: Path, entries: Iterable[FileEntry], objects: Objects) -> None:
    """Fill the new folder ``tree``, durably and read-only; raises ``DamagedError`` if an object is missing."""
    todo = list(entries)
    folders = _make_folders(str(tree), (entry.path for entry in todo))
    flush_files([copy for entry in todo if (copy := _place(entry, f"{tree}/{entry.path}", objects))])
    for folder in folders:
        os.chmod(folder, _FOLDER_MODE)  # noqa: PTH101 - per folder
    flush_folders(folders)


def discard(tree: Path) -> None:
    """Remove a tree, read-only as it is."""
    if not tree.exists():
        return
    for folder, _, _ in os.walk(tree):
        Path(folder).chmod(0o755)
    shutil.rmtree(tree)


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


def _make_folders(tree: str, paths: Iterable[str]) -> list[str]:
    """All folders of the tree, deepest last."""
    direct = {path.rpartition("/")[0] for path in paths}
    below = {folder for path in direct for folder in (path, *_parents(path))}
    folders = [tree, *(f"{tree}/{folder}" for folder in sorted(below))]
    for folder in folders:
        os.mkdir(folder)  # noqa: PTH102 - per folder
    return folders


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _place(entry: FileEntry, destination: str, objects: Objects) -> str | None:
    """Link or copy one object into a tree; returns the destination if it is a copy."""
    source = objects.path(entry.digest)
    try:
        if _is_linked(entry) and _link(source, destination):
            return None
        shutil.copyfile(source, destination)
    except FileNotFoundError as problem:
        raise missing(source) from problem
    os.chmod(destination, _mode(entry))  # noqa: PTH101 - per file
    return destination


def _link(source: str, destination: str) -> bool:
    """False where the file system has no links, or no more of them."""
    try:
        os.link(source, destination)
    except OSError as problem:
        if problem.errno in _NO_LINK:
            return False
        raise
    return True


def _is_linked(entry: FileEntry) -> bool:
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
