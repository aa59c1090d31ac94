"""Follows the code of one application: freezes what is new, starts it, promotes it, and lets the old drain."""

from __future__ import annotations

import queue
import time
from contextlib import ExitStack
from enum import Enum, auto
from typing import Any, Final, Protocol

from hotswap.errors import (
    DescribeError,
    GenerationMovedError,
    HotswapError,
    NoRoomError,
    SourceError,
    StoreError,
)
from hotswap.generations import FileGenerations, Generation
from hotswap.snapshot import Snapshot
from hotswap.store import Store
from hotswap.worker.code import Code
from hotswap.worker.live import LiveVersions, held_for

_LOOK_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 2.0


class Tell(Protocol):
    """Is told what happens: the name of the event, and facts about it as plain data."""

    def __call__(self, event: str, /, **facts: Any) -> None: ...


class _Event(Enum):
    CHANGED = auto()
    STOP = auto()


class _StoppedError(HotswapError):
    """It was told to end."""


class Supervisor:
    """What ``hotswap worker`` runs. ``run`` returns after ``stop``, which any thread or signal handler may call.

    Code that is being started then is given up, and nothing is promoted any more.
    """

    def __init__(
        self, code: Code, store: Store, generations: FileGenerations, live: LiveVersions, tell: Tell, *, follow: bool
    ) -> None:
        self._code = code
        self._store = store
        self._generations = generations
        self._live = live
        self._tell = tell
        self._follow = follow
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._seen: Generation | None = None
        self._trouble = ""
        self._refusal = ""
        self._postponed: float | None = None
        self._starting = True
        self._stopping = False

    def run(self) -> None:
        """Go on until stopped. Raises HotswapError when there is nothing that could run."""
        try:
            self._run()
        except (HotswapError, OSError):
            if not self._stopping:  # what was given up may fail in any way
                raise

    def stop(self) -> None:
        """End ``run`` soon."""
        self._stopping = True
        self._events.put(_Event.STOP)
        self._live.interrupt()

    def _run(self) -> None:
        current = self._generations.current()
        self._live.adopt(current.snapshot if current else None)
        with ExitStack() as following:
            if self._follow:
                trigger = self._code.trigger(lambda: self._events.put(_Event.CHANGED))
                trigger.start()
                following.callback(trigger.stop)
            self._begin()
            while (event := self._next()) is not _Event.STOP:
                if event is _Event.CHANGED:
                    self._starting = False
                if event is _Event.CHANGED or self._is_due():
                    self._take_or_tell()
                self._settle()

    def _begin(self) -> None:
        """Without an earlier version to go on with, what is wrong with this one ends the worker."""
        if self._generations.current() is None:
            self._take()
        else:
            self._take_or_tell()
        self._settle()

    def _next(self) -> _Event | None:
        """The event that matters most of those that came, or None when there was none for a while."""
        try:
            events = {self._events.get(timeout=_LOOK_SECONDS)}
        except queue.Empty:
            return None
        while not self._events.empty():
            events.add(self._events.get())
        return _Event.STOP if _Event.STOP in events else _Event.CHANGED

    def _is_due(self) -> bool:
        """Whether code that was refused for no fault of its own is to be tried again."""
        return self._postponed is not None and not self._trouble and time.monotonic() >= self._postponed

    def _take_or_tell(self) -> None:
        """Without an answer from the broker or a process, or without memory, the code is tried again later."""
        self._postponed = None
        try:
            self._take()
            self._refusal = ""
        except (HotswapError, OSError) as problem:
            self._end_if_told()
            if not isinstance(problem, DescribeError | SourceError | StoreError):
                self._postponed = time.monotonic() + _AGAIN_SECONDS
            refusal = problem.name if isinstance(problem, NoRoomError) else str(problem)  # how much is free changes
            if self._postponed is None or refusal != self._refusal:
                self._tell("waits" if isinstance(problem, NoRoomError) else "refused", **_told(problem))
            self._refusal = refusal

    def _take(self) -> None:
        """Freeze what there is now and make it current, unless it is."""
        began = time.monotonic()
        with self._code.source() as source:
            snapshot = self._store.ensure(source, hold=held_for(source.package)).snapshot
        while (current := self._generations.current()) is None or current.snapshot != snapshot.id:
            if self._starting and current is not None and self._was_rolled_back(snapshot, current):
                self._tell("kept", generation=current.number, snapshot=current.snapshot, instead_of=snapshot.id)
                self._live.refuse(snapshot.id)
                return
            try:
                self._promote(snapshot, current, began)
            except GenerationMovedError:
                continue  # somebody promoted meanwhile; what is newest is ours

    def _was_rolled_back(self, snapshot: Snapshot, current: Generation) -> bool:
        """Whether a person left this very code for an older one: then a restart must not bring it back."""
        if current.rolled_back_to is None:
            return False
        left = range(current.rolled_back_to + 1, current.number)
        return any(self._generations.get(number).snapshot == snapshot.id for number in left)

    def _promote(self, snapshot: Snapshot, current: Generation | None, began: float) -> None:
        try:
            self._live.start(snapshot.id)
        except HotswapError:
            self._live.refuse(snapshot.id)
            raise
        self._end_if_told()
        origin = snapshot.origin
        reason = f"commit {origin.commit[:12]}" if origin.commit and not origin.dirty else "saved files"
        promoted = self._generations.promote(
            snapshot.id,
            expected=current.number if current else None,
            commit=origin.commit,
            dirty=origin.dirty,
            environment=snapshot.environment.digest,
            actor="hotswap worker",
            reason=reason,
        )
        self._tell_current(promoted, seconds=round(time.monotonic() - began, 3))

    def _settle(self) -> None:
        current = self._generations.current()
        assert current is not None, "nothing is taken back from a history"
        try:
            drained = self._live.settle(current.snapshot)
            self._trouble = ""
        except (HotswapError, OSError) as problem:  # what runs goes on, and the next round may succeed
            self._end_if_told()
            if not self._trouble:
                self._tell("trouble", reason=str(problem))
            self._trouble = str(problem) or type(problem).__name__
            return
        if current != self._seen:
            if self._seen is not None:
                self._postponed = None  # somebody promoted meanwhile, which a second try must not undo
            self._tell_current(current)
        for snapshot in drained:
            self._tell("drained", snapshot=snapshot)

    def _end_if_told(self) -> None:
        if self._stopping:
            raise _StoppedError("The worker was told to end.")

    def _tell_current(self, current: Generation, **facts: Any) -> None:
        self._seen = current
        self._tell("current", **current.to_dict(), draining=self._live.draining(current.snapshot), **facts)


def _told(problem: HotswapError | OSError) -> dict[str, Any]:
    where = {"path": problem.path, "line": problem.line} if isinstance(problem, DescribeError) else {}
    return {"reason": str(problem), **where}
