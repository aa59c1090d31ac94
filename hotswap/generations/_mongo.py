"""Generations in MongoDB, and how far each snapshot is on its way out: for laboratories.

One pointer document holds the current generation as a whole and is moved by compare-and-set, so a crash at any
instant leaves exactly one. The generation being left is filed in the history *before* the pointer moves: filing twice
what is current anyway changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection as Members
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from hotswap.generations._generation import Activations, Document, Generation, moved, unknown

_POINTER = "current"


class SnapshotState(StrEnum):
    """Where a snapshot is between being frozen and being forgotten."""

    STAGED = "staged"
    REJECTED = "rejected"
    CURRENT = "current"
    DRAINING = "draining"
    CLOSING = "closing"
    DRAINED = "drained"
    STRANDED = "stranded"


_REFERRED_TO = {SnapshotState.CURRENT, SnapshotState.DRAINING, SnapshotState.STRANDED}


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """What is known of a snapshot's life; ``facts`` is what was recorded with its states (an error, who, why)."""

    snapshot: str
    state: SnapshotState
    since: datetime
    facts: Document = field(default_factory=dict)


class Generations(Activations):
    """The current generation and its history; the states of their snapshots in ``states``."""

    def __init__(self, database: Database[Document]) -> None:
        self._pointer = _Pointer(database)
        self._history = database["generations"]
        self.states = SnapshotStates(database)

    def current(self) -> Generation | None:
        """The generation new work binds to; None before the first promotion."""
        return self._pointer.read()

    def _activate(self, generation: Generation, expected: int | None) -> None:
        previous = self._expect(expected)
        before = self.states._reserve(generation.snapshot)
        if not self._move(previous, generation):
            self.states._release(generation.snapshot, before)
            raise moved(expected, self.current())
        self.states._succeed(previous, generation)

    def get(self, number: int) -> Generation:
        """The generation with this number. Raises UnknownGenerationError."""
        current = self.current()
        if current is not None and current.number == number:
            return current
        document = self._history.find_one({"_id": number})
        if document is None or current is None or number > current.number:
            raise unknown(number, current)
        return _from_document(document)

    def history(self, limit: int = 50) -> list[Generation]:
        """The newest ``limit`` generations, the current one first."""
        current = self.current()
        if current is None or limit < 1:
            return []
        older = self._history.find({"_id": {"$lt": current.number}}, sort=[("_id", DESCENDING)]).limit(limit)
        return [current, *map(_from_document, older)][:limit]

    def _move(self, previous: Generation | None, generation: Generation) -> bool:
        if previous is None:
            return self._pointer.create(generation)
        self._file(previous)
        return self._pointer.advance(previous.number, generation)

    def _file(self, generation: Generation) -> None:
        try:
            self._history.replace_one({"_id": generation.number}, generation.to_dict(), upsert=True)
        except DuplicateKeyError:
            # Two promotions filed the same generation at once; what they file is the same.
            return


class SnapshotStates:
    """The state of each snapshot. ``current`` is what the pointer says, whatever a crash left in the records."""

    def __init__(self, database: Database[Document]) -> None:
        self._pointer = _Pointer(database)
        self._records = _aware(database["snapshots"])

    def record(self, snapshot_id: str, state: SnapshotState, **facts: Any) -> None:
        """Note a state whatever it was before, with facts added to those known."""
        self._set(snapshot_id, state, facts)

    def stage(self, snapshot_id: str, **facts: Any) -> None:
        """Note that a snapshot is on its way to be current; what old work still needs keeps its state until then."""
        unused = {"_id": snapshot_id, "state": {"$nin": sorted((*_REFERRED_TO, SnapshotState.CLOSING))}}
        try:
            self._records.update_one(unused, _change(SnapshotState.STAGED, facts), upsert=True)
        except DuplicateKeyError:
            return  # it is there, and needed

    def move(self, snapshot_id: str, from_states: Members[SnapshotState], to: SnapshotState, **facts: Any) -> bool:
        """Change the state if it is one of ``from_states``; whether it was.

        The current snapshot does not move: only a promotion supersedes it.
        """
        if self._is_current(snapshot_id):
            return False
        stored = set(from_states) - {SnapshotState.CURRENT}
        if SnapshotState.DRAINING in stored:
            stored.add(SnapshotState.CURRENT)
        return self._move(snapshot_id, stored, to, facts)

    def need(self, snapshot_id: str) -> None:
        """Take back, as far as it has come, that nothing needs a snapshot: for who has just referred to it.

        The reference comes first. Whoever counted before it was there then fails to say drained, or has said it
        and is corrected here.
        """
        self.move(snapshot_id, set(SnapshotState) - _REFERRED_TO, SnapshotState.DRAINING)

    def state(self, snapshot_id: str) -> SnapshotState | None:
        """The state of a snapshot, or None when it was never recorded."""
        record = self.get(snapshot_id)
        return record.state if record else None

    def get(self, snapshot_id: str) -> SnapshotRecord | None:
        """What is known of a snapshot, or None."""
        document = self._records.find_one({"_id": snapshot_id})
        return _effective(document, self._current_id()) if document else None

    def all(self, *states: SnapshotState) -> list[SnapshotRecord]:
        """All known snapshots, or those in one of ``states``, in no particular order."""
        current = self._current_id()
        records = [_effective(document, current) for document in self._records.find()]
        return [record for record in records if not states or record.state in states]

    def forget(self, snapshot_id: str) -> None:
        """Drop the record of a snapshot that was collected."""
        self._records.delete_one({"_id": snapshot_id})

    def _reserve(self, snapshot_id: str) -> SnapshotState | None:
        """Before a promotion: whoever is retiring this snapshot fails its next step from here on."""
        before = self.state(snapshot_id)
        if before is not SnapshotState.CURRENT:
            self._set(snapshot_id, SnapshotState.STAGED, {})
        return before

    def _release(self, snapshot_id: str, before: SnapshotState | None) -> None:
        if before is not None:
            self._move(snapshot_id, {SnapshotState.STAGED}, before, {})

    def _succeed(self, previous: Generation | None, generation: Generation) -> None:
        """Also says which generation the one before was: what made that current may have ended before it said so."""
        self._set(generation.snapshot, SnapshotState.CURRENT, {"generation": generation.number})
        if previous is None or previous.snapshot == generation.snapshot or self._is_current(previous.snapshot):
            return
        facts = {"generation": previous.number, "superseded_by": generation.number}
        self._set(previous.snapshot, SnapshotState.DRAINING, facts)

    def _set(self, snapshot_id: str, state: SnapshotState, facts: Mapping[str, Any]) -> None:
        self._records.update_one({"_id": snapshot_id}, _change(state, facts), upsert=True)

    def _move(self, snapshot_id: str, stored: set[SnapshotState], to: SnapshotState, facts: Mapping[str, Any]) -> bool:
        selection = {"_id": snapshot_id, "state": {"$in": sorted(stored)}}
        return self._records.update_one(selection, _change(to, facts)).matched_count == 1

    def _is_current(self, snapshot_id: str) -> bool:
        return self._current_id() == snapshot_id

    def _current_id(self) -> str | None:
        current = self._pointer.read()
        return current.snapshot if current else None


class _Pointer:
    """The one document that says which generation is current."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["current_generation"]

    def read(self) -> Generation | None:
        document = self._collection.find_one({"_id": _POINTER})
        return _from_document(document) if document else None

    def create(self, generation: Generation) -> bool:
        try:
            self._collection.insert_one({"_id": _POINTER, **generation.to_dict()})
        except DuplicateKeyError:
            return False
        return True

    def advance(self, expected: int, generation: Generation) -> bool:
        selection = {"_id": _POINTER, "number": expected}
        return self._collection.update_one(selection, {"$set": generation.to_dict()}).modified_count == 1


def _effective(document: Document, current: str | None) -> SnapshotRecord:
    stored = SnapshotRecord(
        document["_id"], SnapshotState(document["state"]), document["since"], document.get("facts", {})
    )
    if stored.snapshot == current:
        return replace(stored, state=SnapshotState.CURRENT)
    if stored.state is SnapshotState.CURRENT:
        return replace(stored, state=SnapshotState.DRAINING)
    return stored


def _change(state: SnapshotState, facts: Mapping[str, Any]) -> Document:
    known = {f"facts.{name}": value for name, value in facts.items()}
    return {"$set": {"state": str(state), "since": datetime.now(UTC), **known}}


def _from_document(document: Mapping[str, Any]) -> Generation:
    return Generation.from_dict({name: value for name, value in document.items() if name != "_id"})


def _aware(collection: Collection[Document]) -> Collection[Document]:
    return collection.with_options(codec_options=CodecOptions(tz_aware=True, tzinfo=UTC))
