"""A refresh, step by step: detect, freeze, allow, describe, plan, warm up, promote; each is persisted as it is reached.

It knows the application only as a participant that prepares a snapshot and is told when one is current. Nothing that
runs is touched before the promotion, so a refresh that fails or is cut off by a crash leaves everything as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from bson import ObjectId
from pymongo.collection import Collection

from hotswap.errors import DescribeError, GenerationMovedError, HotswapError, UnreachableError
from hotswap.generations import Generation, Generations, SnapshotState, UnknownGenerationError
from hotswap.snapshot import Snapshot

Document = dict[str, Any]

_ATTEMPTS: Final = 5


class Step(StrEnum):
    """How far a refresh has come."""

    DETECTED = "detected"
    FROZEN = "frozen"
    ALLOWED = "allowed"
    DESCRIBED = "described"
    PLANNED = "planned"
    READY = "ready"
    PROMOTED = "promoted"


class Outcome(StrEnum):
    """How a refresh ended: ``unchanged`` when the code is what is current anyway, ``undone`` when its cutover was."""

    LIVE = "live"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"
    UNDONE = "undone"


class NotCutOverError(HotswapError):
    """The code is as it should be, but did not become current; ``outcome`` is how its refresh ends."""

    def __init__(self, message: str, outcome: Outcome = Outcome.UNDONE) -> None:
        super().__init__(message)
        self.outcome = outcome


class Participant(Protocol):
    """What a refresh asks of the application whose code it refreshes. Each may raise HotswapError to reject."""

    def freeze(self, rev: str | None) -> Snapshot:
        """Freeze what is at ``rev``, or whatever is newest."""

    def allow(self, snapshot: Snapshot) -> None:
        """Return if the snapshot may go live as far as its origin tells. Nothing of it has run yet."""

    def describe(self, snapshot: Snapshot) -> None:
        """Import and describe the snapshot. Raises DescribeError."""

    def plan(self, snapshot: Snapshot) -> Document:
        """What going live would change, as plain data."""

    def warm_up(self, snapshot: Snapshot) -> None:
        """Have workers of the snapshot ready; no task is sent to them yet."""

    def warm_up_known(self, snapshot: str) -> None:
        """As ``warm_up``, for a snapshot that was live before and is to be again."""

    def promoted(self, generation: Generation) -> None:
        """The generation is current from now on."""


@dataclass
class Refresh:
    """One refresh as it is persisted: who wanted what, how far it came, when, and how it ended."""

    actor: str
    trigger: str
    rev: str | None = None
    id: str = field(default_factory=lambda: str(ObjectId()))
    requested_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[Document] = field(default_factory=list)
    facts: Document = field(default_factory=dict)
    outcome: Outcome | None = None

    def to_document(self) -> Document:
        return {
            "_id": self.id,
            "actor": self.actor,
            "trigger": self.trigger,
            "rev": self.rev,
            "requested_at": self.requested_at,
            "steps": self.steps,
            "outcome": None if self.outcome is None else str(self.outcome),
            **self.facts,
        }


class Cutover(Protocol):
    """What the application does around the promotion itself."""

    def around(self, refresh: Refresh, snapshot: str, superseded: Callable[[], bool]) -> AbstractContextManager[object]:
        """Entered when the snapshot may become current, however long that takes; left when it is, or will not be.

        Entering raises NotCutOverError, with all as it was.
        """


class AtOnce:
    """A cutover that waits for nothing."""

    def around(self, refresh: Refresh, snapshot: str, superseded: Callable[[], bool]) -> AbstractContextManager[object]:
        del refresh, snapshot, superseded
        return nullcontext()


class Pipeline:
    """Takes refreshes through their steps, one at a time; the caller sees to it that only one runs."""

    def __init__(
        self,
        refreshes: Collection[Document],
        generations: Generations,
        participant: Participant,
        cutover: Cutover | None = None,
    ) -> None:
        self._refreshes = refreshes
        self._generations = generations
        self._participant = participant
        self._cutover = cutover or AtOnce()

    def recover(self) -> list[str]:
        """Close what a crash left open; returns the snapshots that were prepared in vain.

        Nothing but the promotion itself changes anything, and that is atomic: it happened or it did not.
        """
        left: list[Document] = list(self._refreshes.find({"outcome": None}))
        return [snapshot for document in left if (snapshot := self._close(document)) is not None]

    def _close(self, document: Document) -> str | None:
        generation = self._promoted_by(document)
        if generation is None:
            error = "The managers ended before this refresh did; nothing was changed: refresh again."
            change: Document = {"outcome": str(Outcome.INTERRUPTED), "error": error}
        else:
            change = {"outcome": str(Outcome.LIVE), "generation": generation.number}
            self._participant.promoted(generation)
        self._refreshes.update_one({"_id": document["_id"]}, {"$set": change})
        return document.get("snapshot") if generation is None else None

    def _promoted_by(self, document: Document) -> Generation | None:
        """The generation that a refresh was about to make, if it came to that."""
        if "follows" not in document:
            return None
        try:
            made = self._generations.get((document["follows"] or 0) + 1)
        except UnknownGenerationError:
            return None
        return made if made.snapshot == document["snapshot"] else None

    def supersede(self, refresh: Refresh) -> Document:
        """Close a refresh that a newer one took the place of before it began."""
        refresh.outcome = Outcome.SUPERSEDED
        self._save(refresh)
        return refresh.to_document()

    def run(self, refresh: Refresh, superseded: Callable[[], bool] = lambda: False) -> Document:
        """Take a refresh to its end; returns the document that was persisted.

        ``superseded`` is asked between the steps: when a newer refresh waits, this one ends. Raises UnreachableError
        when a process that is needed does not answer; the refresh can be run again then.
        """
        if (live := self.settle(refresh)) is not None:
            return live
        began = time.monotonic()
        refresh.steps.clear()
        self._reach(refresh, Step.DETECTED, began)
        try:
            refresh.outcome = self._prepare_and_promote(refresh, began, superseded)
        except UnreachableError:
            raise  # says nothing about the code
        except NotCutOverError as error:
            _note(refresh, error.outcome, error)
        except HotswapError as error:
            self._reject(refresh, error)
        self._save(refresh)
        return refresh.to_document()

    def settle(self, refresh: Refresh) -> Document | None:
        """Close a refresh that made its code current without being told so; None if it did not. Safe to repeat."""
        generation = self._promoted_by(refresh.to_document())
        if generation is None:
            return None
        refresh.facts["generation"] = generation.number
        self._participant.promoted(generation)
        refresh.outcome = Outcome.LIVE
        self._save(refresh)
        return refresh.to_document()

    def abandon(self, refresh: Refresh, reason: str) -> Document:
        """Close a refresh that ran into something that says nothing about the code, perhaps when that was current."""
        if (live := self.settle(refresh)) is not None:
            return live
        if (snapshot := refresh.facts.get("snapshot")) is not None:
            self._generations.states.need(snapshot)  # it is nothing's next any more; what nobody needs retires
        refresh.outcome = Outcome.INTERRUPTED
        refresh.facts["error"] = reason
        self._save(refresh)
        return refresh.to_document()

    def roll_back(self, refresh: Refresh, number: int, expected: int | None = None) -> Document:
        """Make the snapshot of an earlier generation current again, as a new generation; nothing is frozen.

        With ``expected``, only in place of that generation. Raises HotswapError when that is refused, which the refresh
        then says, too; UnreachableError as ``run`` does.
        """
        began = time.monotonic()
        self._reach(refresh, Step.DETECTED, began)
        try:
            snapshot = self._generations.get(number).snapshot
            self._participant.warm_up_known(snapshot)
            self._reach(refresh, Step.READY, began)
            with self._cutover.around(refresh, snapshot, lambda: False):
                self._roll_back(refresh, number, expected, began)
        except UnreachableError:
            raise  # says nothing about the code
        except HotswapError as error:
            _note(refresh, error.outcome if isinstance(error, NotCutOverError) else Outcome.REJECTED, error)
            self._save(refresh)
            raise
        refresh.outcome = Outcome.LIVE
        self._save(refresh)
        return refresh.to_document()

    def _prepare_and_promote(self, refresh: Refresh, began: float, superseded: Callable[[], bool]) -> Outcome:
        snapshot = self._participant.freeze(refresh.rev)
        refresh.facts.update(_facts_of(snapshot))
        self._reach(refresh, Step.FROZEN, began)
        if self._is_current(snapshot):
            return self._confirm(refresh, snapshot, began)
        self._generations.states.stage(snapshot.id, package=snapshot.package)
        self._participant.allow(snapshot)
        self._reach(refresh, Step.ALLOWED, began)
        self._participant.describe(snapshot)
        self._reach(refresh, Step.DESCRIBED, began)
        refresh.facts["plan"] = self._participant.plan(snapshot)
        self._reach(refresh, Step.PLANNED, began)
        if superseded():
            return Outcome.SUPERSEDED
        self._participant.warm_up(snapshot)
        self._reach(refresh, Step.READY, began)
        with self._cutover.around(refresh, snapshot.id, superseded):
            generation = self._promote(refresh, snapshot)
        self._announce(refresh, generation, began)
        return Outcome.LIVE

    def _confirm(self, refresh: Refresh, snapshot: Snapshot, began: float) -> Outcome:
        """Code that is current already is a new generation when it was committed since, so that a commit names it."""
        current = self._generations.current()
        if current is None or not current.dirty or snapshot.origin.dirty:
            return Outcome.UNCHANGED
        self._participant.allow(snapshot)
        self._announce(refresh, self._promote(refresh, snapshot), began)
        return Outcome.LIVE

    def _roll_back(self, refresh: Refresh, number: int, expected: int | None, began: float) -> None:
        for attempt in range(_ATTEMPTS):
            current = self._generations.current()
            if current is None:
                raise HotswapError("There is no generation yet to roll back from; commit working code first.")
            if expected not in (None, current.number):
                raise HotswapError(f"Generation {expected} is not current any more, so it is not rolled back.")
            self._intend(refresh, self._generations.get(number).snapshot, current)
            try:
                generation = self._generations.roll_back(
                    number, expected=current.number, actor=refresh.actor, reason=refresh.trigger
                )
            except GenerationMovedError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                self._announce(refresh, generation, began)
                return

    def _promote(self, refresh: Refresh, snapshot: Snapshot) -> Generation:
        current = self._generations.current()
        self._intend(refresh, snapshot.id, current)
        return self._generations.promote(
            snapshot.id,
            expected=current.number if current else None,
            commit=snapshot.origin.commit,
            dirty=snapshot.origin.dirty,
            environment=snapshot.environment.digest,
            actor=refresh.actor,
            reason=refresh.trigger,
        )

    def _intend(self, refresh: Refresh, snapshot: str, current: Generation | None) -> None:
        """Say which generation it is about to follow, so that after a crash it can be told whether it did."""
        refresh.facts.update(snapshot=snapshot, follows=current.number if current else None)
        self._save(refresh)

    def _announce(self, refresh: Refresh, generation: Generation, began: float) -> None:
        refresh.facts.update(generation=generation.number, snapshot=generation.snapshot)
        self._reach(refresh, Step.PROMOTED, began)
        self._participant.promoted(generation)

    def _reject(self, refresh: Refresh, error: HotswapError) -> None:
        _note(refresh, Outcome.REJECTED, error)
        if isinstance(error, DescribeError):
            refresh.facts.update(path=error.path, line=error.line)
        snapshot = refresh.facts.get("snapshot")
        if snapshot is not None:
            self._generations.states.move(
                snapshot, {SnapshotState.STAGED, SnapshotState.REJECTED}, SnapshotState.REJECTED, error=str(error)
            )

    def _is_current(self, snapshot: Snapshot) -> bool:
        current = self._generations.current()
        return current is not None and current.snapshot == snapshot.id

    def _reach(self, refresh: Refresh, step: Step, began: float) -> None:
        refresh.steps.append({"step": str(step), "at": datetime.now(UTC), "seconds": time.monotonic() - began})
        self._save(refresh)

    def _save(self, refresh: Refresh) -> None:
        document = refresh.to_document()
        self._refreshes.replace_one({"_id": refresh.id}, document, upsert=True)


def _note(refresh: Refresh, outcome: Outcome, error: HotswapError) -> None:
    refresh.outcome = outcome
    refresh.facts["error"] = str(error)


def _facts_of(snapshot: Snapshot) -> Document:
    origin = snapshot.origin
    return {
        "snapshot": snapshot.id,
        "commit": origin.commit,
        "dirty": origin.dirty,
        "author": origin.author,
        "message": origin.message,
        "environment": snapshot.environment.digest,
    }
