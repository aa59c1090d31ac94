"""Where everything of a store lies, and how writers take turns."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hotswap import _disk
from hotswap.errors import StoreError
from hotswap.store import _tree
from hotswap.store._checks import Checks
from hotswap.store._holds import Holds
from hotswap.store._manifests import Manifests, Record
from hotswap.store._objects import Objects
from hotswap.store._unfinished import Unfinished

log = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT}
NEW, OLD = ".new-", ".old-"
"""What the names of trees that are being built, or removed, start with."""


class Layout:
    """The parts of the store in the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trees = root / "trees"
        self.staging = root / "tmp"
        self.cache = root / "cache"
        self.objects = Objects(root / "objects", self.staging)
        self.manifests = Manifests(root / "manifests", self.staging)
        self.holds = Holds(root / "holds", self.staging)
        self.unfinished = Unfinished(
            root / "unfinished.json", self.staging, self.objects, self.trees, self.manifests, self.holds
        )

    def tree(self, identity: str) -> Path:
        """The tree of a snapshot."""
        return self.trees / identity

    def place_tree(self, record: Record) -> None:
        """Make the whole tree of a snapshot appear, durably."""
        identity = record.snapshot.id
        unfinished = self.trees / f"{NEW}{identity}"
        _tree.build(unfinished, record.contents(), self.objects)
        _disk.rename(str(unfinished), str(self.tree(identity)))
        _disk.fsync(str(self.trees))

    def checks(self) -> Checks:
        """A new round of checks."""
        return Checks(self.objects, self.trees)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's lock, with nothing half-done in it; if the body raises, what it did not finish is undone.

        Raises ``StoreError`` when the disk refuses.
        """
        with self.refusals():
            self._make_places()
            with self.locked("lock"):
                self._tidy()
                try:
                    yield
                except BaseException:  # whatever ends the body, what it left half-done is undone
                    self._tidy_after_failure()
                    raise

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn what the disk refuses into a ``StoreError``."""
        try:
            yield
        except OSError as problem:
            if problem.errno in _FULL:
                raise StoreError(
                    f"The disk of the store {self.root} is full: free some space and try again; nothing is half-done."
                ) from problem
            raise StoreError(
                f"The store {self.root} cannot be written ({problem.strerror}): see to its disk, "
                "or choose another folder."
            ) from problem

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock file ``name``; it is released by the end of the process, too."""
        descriptor = _disk.open_lock(str(self.root / name))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor, too
            os.close(descriptor)

    def _make_places(self) -> None:
        for folder in (self.objects.folder, self.trees, self.manifests.folder, self.holds.folder):
            _disk.make_folders(str(folder))
        for folder in (self.staging, self.cache):
            _disk.make_folders(str(folder))

    def _tidy(self) -> None:
        """Whatever lies in the places for unfinished work is what a crash left."""
        self.objects.forget_staged()
        self.unfinished.settle()
        for leftover in self.staging.iterdir():
            if _tree.is_folder(leftover):
                _tree.discard(leftover)
            else:
                _disk.unlink(str(leftover))
        for tree in self.trees.glob(f"{NEW}*"):
            _tree.discard(tree)

    def _tidy_after_failure(self) -> None:
        try:
            self._tidy()
        except OSError as problem:
            log.warning("%s is left as a crash leaves it, for the next writer to put right: %s", self.root, problem)
