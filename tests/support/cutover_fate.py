"""Where a run of the managers is cut: at its n-th change of the database or call of a driver it dies, or waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeVar
from unittest.mock import patch

from pymongo.collection import Collection

_WRITES = (
    *("insert_one", "insert_many", "update_one", "update_many"),
    *("replace_one", "delete_one", "delete_many", "bulk_write"),
)

Done = TypeVar("Done")


class Crash(BaseException):
    """The managers' process ends here."""


class Fate:
    """Everything that the managers do to the world goes through ``do``; the dead do nothing any more."""

    def __init__(self) -> None:
        self.dead = False
        self.written: Callable[[str], None] = lambda _: None
        self._left = 0
        self._then: Callable[[Callable[[], object]], object] | None = None

    def do(self, deed: Callable[[], Done]) -> Done:
        if self.dead:
            raise Crash
        if self._then is not None:
            self._left -= 1
            if self._left < 0:
                then, self._then = self._then, None
                then(deed)
        return deed()

    def crash(self, point: int, *, done: bool) -> None:
        """Die at that deed, before it or when it is ``done``."""

        def die(deed: Callable[[], object]) -> None:
            if done:
                deed()
            self.dead = True
            raise Crash

        self._left, self._then = point, die

    def meanwhile(self, point: int, other: Callable[[], object]) -> None:
        """Have ``other`` happen just before that deed."""
        self._left, self._then = point, lambda _: other()

    def survived(self) -> None:
        """What was to happen and did not will not happen any more."""
        self.dead, self._then = False, None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Each change of any collection goes through here."""
        with ExitStack() as stack:
            for name in _WRITES:
                stack.enter_context(patch.object(Collection, name, self._through(getattr(Collection, name))))
            yield

    def _through(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def write(collection: Collection[Any], *args: Any, **kwargs: Any) -> Any:
            told = self.do(lambda: original(collection, *args, **kwargs))
            self.written(collection.name)
            return told

        return write


_THIS: Final = threading.local()


def give_turn() -> None:
    """Let the others go on, until this run is resumed."""
    _THIS.pause()


class Turn:
    """A run on a thread of its own that goes on only while ``resume`` is waiting for it."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.ended = False
        self._error: BaseException | None = None
        self._here, self._there = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(run,), daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Let it run until it waits, or to its end; raises what it raised."""
        if self.ended:
            return
        self._there.release()
        self._here.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _pause(self) -> None:
        self._here.release()
        self._there.acquire()

    def _run(self, run: Callable[[], object]) -> None:
        self._there.acquire()
        _THIS.pause = self._pause
        try:
            run()
        except BaseException as error:  # whatever it is, who resumes it is told
            self._error = error
        self.ended = True
        self._here.release()
