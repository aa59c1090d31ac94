"""The files of a snapshot in a folder, to work on: plain, writable, and no longer part of the store."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hotswap.errors import StoreError
from hotswap.snapshot import Snapshot
from hotswap.store import Store


def checkout(store: Store, name: str, folder: Path, progress: Callable[[int, int], None] | None = None) -> Snapshot:
    """Write the snapshot with the id or unambiguous prefix ``name`` into the new or empty ``folder``.

    It gets the files as they were frozen, uncommitted edits included, with their modes and without byte-code: all of
    them or none. ``progress`` is called with the number of files written and of all. Raises ``StoreError`` if the
    folder cannot be filled, otherwise as ``Store.open``.
    """
    with store.use(name) as snapshot, _appearing(Path(folder)) as unfinished:
        for count, entry in enumerate(snapshot.files, start=1):
            path = unfinished / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.content(entry))
            path.chmod(entry.mode)
            if progress is not None:
                progress(count, len(snapshot.files))
        return snapshot


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that takes its place when all is well, and leaves nothing behind otherwise."""
    target = Path(os.path.realpath(folder))  # an empty folder may stand behind a link
    unfinished = target.parent / f".{secrets.token_hex(8)}.new"
    try:
        _check(folder, target)
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(target)
    except OSError as problem:
        raise StoreError(f"The folder {folder} cannot be filled ({problem.strerror}): choose another one.") from problem
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check(folder: Path, target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise StoreError(f"{folder} is not a folder: choose a new or empty one.")
    if any(target.iterdir()):
        raise StoreError(f"The folder {folder} is not empty: choose a new or empty one.")
    if target.samefile(os.curdir):
        raise StoreError(f"{folder} is the folder that you are in, and would be replaced: name a new one.")
