"""Collection: snapshots that nothing keeps go, then every object that no snapshot refers to.

The store's lock is held for short pieces only, so that a freeze never waits long. What was decided before a piece is
decided again within it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from hotswap import _disk
from hotswap.errors import StoreError, UnknownSnapshotError
from hotswap.store import _tree
from hotswap.store._layout import OLD, Layout
from hotswap.store._manifests import InUseError, Record
from hotswap.store._progress import Steps
from hotswap.store._retention import Candidate, Decision, Retention, ranks, reason_to_go, reason_to_keep, sizes
from hotswap.store._unfinished import Change

log = logging.getLogger(__name__)

_PIECE = 500
_TURN_SECONDS = 0.001
_IN_USE = "in use"


class Collector:
    """One collection."""

    def __init__(self, layout: Layout, references: Mapping[str, str], retention: Retention, steps: Steps) -> None:
        self._layout = layout
        self._references = references
        self._retention = retention
        self._steps = steps
        self._ranks: Mapping[str, int] = {}
        self._candidates: dict[str, Candidate] = {}

    def decide(self) -> Sequence[Decision]:
        """What would happen, the newest first; changes nothing."""
        records, unreadable = self._records()
        reasons = self._each(records, self._obstacle)
        return [*self._decisions(records, reasons), *unreadable]

    def collect(self) -> Sequence[Decision]:
        """Do it; returns what happened."""
        with self._layout.refusals(), self._layout.locked("collecting"):
            with self._layout.writing():
                pass  # what a crash left half-done is put right first
            self._empty()
            records, unreadable = self._records()
            reasons = self._each(records, lambda record: self._obstacle(record) or self._remove(record))
            self._empty()
            self._sweep()
        return [*self._decisions(records, reasons), *unreadable]

    def _each(self, records: Sequence[Record], reason: Callable[[Record], str | None]) -> Mapping[str, str | None]:
        """Why each snapshot stays; None for those that go."""
        self._steps.expect(len(records))
        found = {}
        for record in records:
            found[record.snapshot.id] = reason(record)
            self._steps.take()
        return found

    def _records(self) -> tuple[Sequence[Record], Sequence[Decision]]:
        found, unreadable = [], []
        for identity in self._layout.manifests.ids():
            try:
                found.append(self._layout.manifests.load(identity))
            except UnknownSnapshotError:
                continue
            except StoreError as problem:
                unreadable.append(Decision(identity, keep=True, reason=str(problem), size=0))
        self._ranks = ranks(record.snapshot for record in found)
        found.sort(key=lambda record: record.snapshot.frozen_at, reverse=True)
        return found, unreadable

    def _obstacle(self, record: Record) -> str | None:
        """What keeps the snapshot now."""
        try:
            reason = self._reason(record)
            if reason is None:
                with self._layout.manifests.unused(record.snapshot.id):
                    pass
        except InUseError:
            return _IN_USE
        except UnknownSnapshotError:
            return None
        return reason

    def _remove(self, record: Record) -> str | None:
        """Remove a snapshot, unless something keeps it by now: then say what."""
        try:
            with self._layout.writing(), self._layout.manifests.unused(record.snapshot.id):
                reason = self._reason(record)
                if reason is None:
                    self._withdraw(record.snapshot.id)
        except InUseError:
            return _IN_USE
        except UnknownSnapshotError:
            return None
        _give_way()
        return reason

    def _reason(self, record: Record) -> str | None:
        identity = record.snapshot.id
        used_at = self._layout.manifests.used_at(identity)
        candidate = Candidate(record.snapshot, used_at, self._layout.holds.of(identity), self._ranks[identity])
        self._candidates[identity] = candidate
        return reason_to_keep(candidate, self._references, self._retention, datetime.now(UTC))

    def _withdraw(self, identity: str) -> None:
        tree = self._layout.tree(identity)
        with self._layout.unfinished.change(Change(identity)):
            self._layout.manifests.withdraw(identity)
            if tree.exists():
                _disk.rename(str(tree), str(tree.with_name(f"{OLD}{identity}")))
                _disk.fsync(str(tree.parent))

    def _empty(self) -> None:
        """Remove the trees that were put aside, by this collection or one that did not get to its end."""
        for tree in self._layout.trees.glob(f"{OLD}*"):
            _tree.discard(tree)

    def _sweep(self) -> None:
        """Remove the objects that no snapshot refers to."""
        marks = _Marks(self._layout)
        if not marks.refresh():
            return
        garbage = sorted(digest for digest in self._layout.objects.digests() if digest not in marks)
        self._steps.expect(len(garbage))
        for start in range(0, len(garbage), _PIECE):
            piece = garbage[start : start + _PIECE]
            with self._layout.writing():
                if not marks.refresh():
                    return
                self._layout.objects.remove(one for one in piece if one not in marks)
            self._steps.take(len(piece))
            _give_way()

    def _decisions(self, found: Sequence[Record], reasons: Mapping[str, str | None]) -> Iterator[Decision]:
        records = [record for record in found if record.snapshot.id in self._candidates]
        parts = [(_parts(record), reasons[record.snapshot.id] is not None) for record in records]
        for record, size in zip(records, sizes(parts), strict=True):
            identity = record.snapshot.id
            keep = reasons[identity]
            reason = keep or reason_to_go(self._candidates[identity], datetime.now(UTC))
            yield Decision(identity, keep is not None, reason, size)


def _give_way() -> None:
    """Let a freeze that waits have the lock, which is not fair."""
    time.sleep(_TURN_SECONDS)


class _Marks:
    """The digests of all objects that a snapshot refers to, as far as known."""

    def __init__(self, layout: Layout) -> None:
        self._manifests = layout.manifests
        self._seen: set[str] = set()
        self._digests: set[str] = set()

    def __contains__(self, digest: str) -> bool:
        return digest in self._digests

    def refresh(self) -> bool:
        """Learn of the snapshots that are new; False if one of them cannot tell what it refers to."""
        for identity in self._manifests.ids():
            if identity in self._seen:
                continue
            try:
                record = self._manifests.load(identity)
            except UnknownSnapshotError:
                continue
            except StoreError as problem:
                log.warning("No object is removed, because one manifest does not tell what it needs. %s", problem)
                return False
            self._digests.update(entry.digest for entry in record.contents())
            self._seen.add(identity)
        return True


def _parts(record: Record) -> Mapping[str, int]:
    """What a snapshot takes on disk: objects, which it may share, and copies in its tree."""
    shared = {entry.digest: entry.size for entry in record.contents()}
    own = {
        f"{record.snapshot.id}/{entry.path}": entry.size for entry in record.contents() if not _tree.is_linked(entry)
    }
    return {**shared, **own}
