"""What is wrong with a snapshot: cheaply, by names, sizes and modes, or in full, by reading everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hotswap.snapshot import FileEntry
from hotswap.store import _tree
from hotswap.store._manifests import Record
from hotswap.store._objects import Objects
from hotswap.store._refusals import reading


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in a store is not as it was frozen.

    ``path`` is in the tree of the snapshot with the full id ``snapshot``; for a file that is in no tree it starts at
    the store, and ``snapshot`` is empty unless the file belongs to one.
    """

    snapshot: str
    path: str
    what: str


class Checks:
    """Checks of snapshots against one another's objects, each of which is read once."""

    def __init__(self, objects: Objects, trees: Path) -> None:
        self._objects = objects
        self._trees = trees
        self._known: dict[str, str | None] = {}

    def shape(self, record: Record) -> Iterator[Damage]:
        """What names, sizes and modes in the tree tell."""
        tree = self._trees / record.snapshot.id
        with reading(tree):
            if not tree.is_dir():
                yield Damage(record.snapshot.id, ".", "the tree is missing")
                return
            for path, what in _tree.shape_problems(tree, record.contents()):
                yield Damage(record.snapshot.id, path, what)

    def folders(self, record: Record) -> Iterator[Damage]:
        """Folders of the tree that are not as they were made, which changes nothing of what the snapshot holds."""
        tree = self._trees / record.snapshot.id
        with reading(tree):
            for path, what in _tree.folder_problems(tree, record.contents()):
                yield Damage(record.snapshot.id, path, what)

    def everything(self, record: Record) -> Iterator[Sequence[Damage]]:
        """What is wrong with each file; what concerns no file, or does not belong there, comes with the first."""
        found = list(self.shape(record))
        told = {damage.path for damage in found}
        for entry in record.contents():
            what = self.object(entry.digest) or self._content(record, entry)
            if what and entry.path not in told:
                found.append(Damage(record.snapshot.id, entry.path, what))
            yield found
            found = []

    def is_whole(self, record: Record) -> bool:
        """Whether nothing at all is wrong."""
        return not any(self.everything(record))

    def object(self, digest: str) -> str | None:
        """What is wrong with an object."""
        if digest not in self._known:
            self._known[digest] = self._objects.damage(digest)
        return self._known[digest]

    def _content(self, record: Record, entry: FileEntry) -> str | None:
        return _tree.content_problem(self._trees / record.snapshot.id, entry, self._objects)
