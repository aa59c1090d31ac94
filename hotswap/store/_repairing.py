"""Repair: lost objects come from other copies, trees from sound objects; nobody who uses a tree is disturbed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from hotswap.digest import hash_bytes
from hotswap.errors import DamagedError, StoreError
from hotswap.store import _tree
from hotswap.store._checks import Damage
from hotswap.store._layout import Layout
from hotswap.store._manifests import Record
from hotswap.store._progress import Steps

log = logging.getLogger(__name__)


class Copy(Protocol):
    """Another place that may have the content of lost objects, such as an exported archive."""

    def content(self, digest: str) -> bytes | None:
        """The content with this digest, or None; whoever asks checks it."""


class Repairer:
    """Mends what a verification found; the store's lock is held meanwhile."""

    def __init__(self, layout: Layout, copies: Sequence[Copy], steps: Steps) -> None:
        self._layout = layout
        self._steps = steps
        self._copies = copies
        self._records = list(self._readable())

    def repair(self, damages: Iterable[Damage]) -> None:
        """Mend what can be mended of ``damages``, and of the other snapshots that share the content."""
        paths: dict[str, set[str]] = {}
        for damage in damages:
            paths.setdefault(damage.snapshot, set()).add(damage.path)
        restored = self._restore(paths)
        self._remove_stray_objects(paths.pop("", set()))
        self._steps.expect(len(self._records))
        for record in self._records:
            wanted = paths.get(record.snapshot.id, set())
            wanted |= {entry.path for entry in record.contents() if entry.digest in restored}
            if wanted:
                self._mend(record, wanted)
            self._steps.take()

    def _readable(self) -> Iterator[Record]:
        for identity in self._layout.manifests.ids():
            try:
                yield self._layout.manifests.load(identity)
            except StoreError as problem:
                log.warning("%s", problem)

    def _restore(self, paths: dict[str, set[str]]) -> frozenset[str]:
        """Put lost objects back; returns their digests."""
        objects = self._layout.objects
        lost = {
            entry.digest
            for record in self._records
            for entry in record.contents()
            if not {".", entry.path}.isdisjoint(paths.get(record.snapshot.id, ())) and objects.damage(entry.digest)
        }
        self._steps.expect(len(lost))
        return frozenset(digest for digest in lost if self._restore_one(digest))

    def _restore_one(self, digest: str) -> bool:
        data = self._find(digest)
        if data is not None:
            self._layout.objects.restore(digest, data)
        self._steps.take()
        return data is not None

    def _find(self, digest: str) -> bytes | None:
        # The own trees first: where they have it, other places need not answer.
        candidates = (copy.content(digest) for copy in (_TreeCopies(self._layout, self._records), *self._copies))
        return next((data for data in candidates if data is not None and hash_bytes(data) == digest), None)

    def _remove_stray_objects(self, paths: Iterable[str]) -> None:
        """Damaged objects that nothing refers to yet: a later freeze must not take them for content."""
        names = [path.removeprefix("objects/").replace("/", "") for path in paths if path.startswith("objects/")]
        known = set(self._layout.objects.digests())
        known.difference_update(entry.digest for record in self._records for entry in record.contents())
        self._layout.objects.remove(name for name in names if name in known and self._layout.objects.damage(name))

    def _mend(self, record: Record, paths: set[str]) -> None:
        tree = self._layout.tree(record.snapshot.id)
        try:
            if tree.is_dir():
                self._mend_files(record, tree, paths)
            else:
                self._layout.place_tree(record)
        except DamagedError as problem:
            log.warning("%s", problem)

    def _mend_files(self, record: Record, tree: Path, paths: set[str]) -> None:
        entries = {entry.path: entry for entry in record.contents()}
        folders, objects = _tree.folders(entries), self._layout.objects
        for path in sorted(paths):
            entry = entries.get(path)
            if path in folders and _tree.is_folder(tree / path):
                _tree.protect(tree, path)
            elif entry is None:
                _tree.remove(tree, path)
            elif objects.damage(entry.digest) is None:
                _tree.replace(tree, entry, objects, self._layout.staging)


class _TreeCopies:
    """The files in trees that are copies of their objects."""

    def __init__(self, layout: Layout, records: Sequence[Record]) -> None:
        self._layout = layout
        self._records = records

    def content(self, digest: str) -> bytes | None:
        """The content of the first sound one."""
        for path in self._paths(digest):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if hash_bytes(data) == digest:
                return data
        return None

    def _paths(self, digest: str) -> Iterator[Path]:
        for record in self._records:
            tree = self._layout.tree(record.snapshot.id)
            yield from (tree / entry.path for entry in record.contents() if entry.digest == digest)
