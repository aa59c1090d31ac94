"""Verification: read everything in a store again, and name what is not as it was frozen."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from hotswap.errors import StoreError, UnknownSnapshotError
from hotswap.store._checks import Damage
from hotswap.store._holds import is_name as is_hold
from hotswap.store._layout import NEW, OLD, Layout
from hotswap.store._manifests import Record
from hotswap.store._objects import is_name as is_object
from hotswap.store._progress import Progress
from hotswap.store._refusals import names_in

log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{64}")
_FOREIGN = "it does not belong to the store: move it away"
_NO_REASON = "the reason of the hold is lost: release it, and hold the snapshot again"
_PARTS = {"objects", "trees", "manifests", "holds", "generations", "run", "cache", "tmp"}
_FILES = {"owner.json", "unfinished.json", "lock", "collecting"}
_FOR_PEOPLE = (".", "README")
_CACHED = re.compile(r"digests\.jsonl|[\w.-]+-\d+\.jsonl|closure")


class Verifier:
    """Reads everything again."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._checks = layout.checks()
        self._referred: set[str] = set()
        self._seen: set[str] = set()

    def snapshots(self, ids: Iterable[str], progress: Progress | None) -> Iterator[Damage]:
        """What is wrong with these snapshots; one that is collected meanwhile is passed over."""
        sizes = {identity: self._size(identity) for identity in ids}
        done, total = 0, sum(sizes.values())
        for identity in sizes:
            for found in self._snapshot(identity):
                yield from found
                done += 1
                if progress is not None:
                    progress(done, total)

    def _size(self, identity: str) -> int:
        """How many steps the check of a snapshot has."""
        try:
            return len(self._layout.manifests.load(identity).contents())
        except StoreError:
            return 1

    def _snapshot(self, identity: str) -> Iterator[Sequence[Damage]]:
        try:
            with self._layout.manifests.looked_at(identity):
                record = self._layout.manifests.load(identity)
                self._note(record)
                found = list(self._checks.folders(record))
                for damages in self._checks.everything(record):
                    yield [*damages, *found]
                    found = []
        except UnknownSnapshotError:
            return
        except StoreError as problem:
            yield [Damage(identity, f"manifests/{identity}.json", str(problem))]

    def _note(self, record: Record) -> None:
        self._seen.add(record.snapshot.id)
        self._referred.update(entry.digest for entry in record.contents())

    def strays(self) -> list[Damage]:
        """What lies in the store and belongs to no snapshot, and snapshots whose manifest is lost.

        What seems to is looked at again while nobody writes, and after what a crash left is removed.
        """
        found = list(self._strays())
        if found:
            try:
                with self._layout.writing():
                    self._checks = self._layout.checks()
                    return list(self._strays())
            except StoreError as problem:
                log.info("What does not belong to the store is told without its lock: %s", problem)
        return found

    def _strays(self) -> Iterator[Damage]:
        yield from self._stray_names()
        yield from self._stray_manifests()
        yield from self._stray_trees()
        yield from self._stray_objects()

    def _stray_names(self) -> Iterator[Damage]:
        """At the top and in the cache."""
        for name in names_in(self._layout.root):
            if name not in _PARTS | _FILES and not name.startswith(_FOR_PEOPLE):
                yield Damage("", name, _FOREIGN)
        for name in names_in(self._layout.cache):
            if not _CACHED.fullmatch(name):
                yield Damage("", f"cache/{name}", _FOREIGN)

    def _stray_manifests(self) -> Iterator[Damage]:
        manifests, holds = self._layout.manifests, self._layout.holds
        known = set(manifests.ids())
        yield from (Damage("", f"manifests/{name}", _FOREIGN) for name in manifests.names() if name[:-5] not in known)
        yield from (Damage("", f"holds/{name}", _FOREIGN) for name in holds.names() if not is_hold(name))
        yield from (Damage(one, f"holds/{name}", _NO_REASON) for one, name in holds.damaged())
        yield from (
            Damage(one, f"manifests/{one}.json", "the manifest is missing, but the snapshot is held")
            for one in sorted(holds.ids() - known)
        )

    def _stray_trees(self) -> Iterator[Damage]:
        known = set(self._layout.manifests.ids())
        for name in names_in(self._layout.trees):
            if name in known or name.startswith((NEW, OLD)):
                continue
            if _ID.fullmatch(name):
                yield Damage(name, f"manifests/{name}.json", "the manifest is missing, but there is a tree")
            else:
                yield Damage("", f"trees/{name}", _FOREIGN)

    def _stray_objects(self) -> Iterator[Damage]:
        for identity in self._layout.manifests.ids():
            if identity not in self._seen:
                with suppress(StoreError):  # told with the snapshots
                    self._note(self._layout.manifests.load(identity))
        for name in self._layout.objects.names():
            if not is_object(name):
                yield Damage("", f"objects/{name}", _FOREIGN)
                continue
            digest = name.replace("/", "")
            if digest not in self._referred and (what := self._checks.object(digest)):
                yield Damage("", f"objects/{name}", what)
