"""What a writer is about to change, written down first, so that after an unclean end the next one can undo it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hotswap import _disk
from hotswap.errors import DamagedError, UnknownSnapshotError
from hotswap.store import _tree
from hotswap.store._checks import Checks
from hotswap.store._holds import Holds
from hotswap.store._manifests import Manifests
from hotswap.store._objects import Objects

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """The snapshot that appears or goes, if any; the objects that are new; the name of the hold that is."""

    snapshot: str | None = None
    objects: tuple[str, ...] = ()
    hold: str | None = None


class Unfinished:
    """The file ``path``: it is there while a change is being made, and after one that did not end well."""

    def __init__(self, path: Path, staging: Path, objects: Objects, trees: Path, manifests: Manifests, holds: Holds):
        self._path = path
        self._staging = staging
        self._objects = objects
        self._trees = trees
        self._manifests = manifests
        self._holds = holds

    @contextmanager
    def change(self, change: Change) -> Iterator[None]:
        """Make a change inside; if it fails, ``settle`` has to follow."""
        _disk.replace(str(self._path), json.dumps(asdict(change)).encode("ascii"), str(self._staging))
        yield
        _disk.unlink(str(self._path))

    def settle(self) -> bool:
        """Undo a change that did not end well, unless it got to its end; returns whether there was one.

        What it touched is read again in full: an unclean end may be that of the machine.
        """
        if not self._path.exists():
            return False
        change = self._read()
        _disk.sync(str(self._path.parent))
        if change.snapshot is None:
            self._objects.remove(digest for digest in change.objects if self._objects.damage(digest))
        elif not self._is_whole(change.snapshot):
            self._undo(change, change.snapshot)
        _disk.sync(str(self._path.parent))
        _disk.unlink(str(self._path))
        return True

    def _read(self) -> Change:
        try:
            return Change(**json.loads(self._path.read_bytes()))
        except (ValueError, TypeError) as problem:
            log.warning("%s cannot be read (%s): run `hotswap verify`.", self._path, problem)
            return Change()

    def _is_whole(self, identity: str) -> bool:
        try:
            record = self._manifests.load(identity)
        except (UnknownSnapshotError, DamagedError):
            return False
        return Checks(self._objects, self._trees).is_whole(record)

    def _undo(self, change: Change, identity: str) -> None:
        log.warning("A change of snapshot %s was not finished: it is undone.", identity[:12])
        self._manifests.withdraw(identity)
        if change.hold is not None:
            self._holds.remove([change.hold])
        _tree.discard(self._trees / identity)
        self._objects.remove(change.objects)
