"""How much memory the processes of a fleet use, and who may start when it is scarce: in turn; nothing is killed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hotswap.errors import NoRoomError, ProcessError
from hotswap.process.runs import Run

UNKNOWN_MB: Final = 32.0
"""What a process is taken to need when there is none yet to judge from."""

_LOOK_AGAIN_SECONDS: Final = 1.0
"""Processes also give back memory without ending."""


@dataclass(frozen=True)
class Use:
    """Memory of one process in MB (2^20 bytes): ``share`` counts shared pages in part, ``own`` only private ones."""

    run: Run
    share: float
    own: float


TEMPLATE: Final = ""
"""The entry of a template."""


@dataclass(eq=False)
class Start:
    """A process that is to be started, and once it ``waits``, why.

    One that is to be started ``again`` goes before all others: what runs may need it to come to an end.
    """

    name: str
    snapshot: str
    entry: str
    again: bool = False
    waits: str | None = None
    withdrawn: bool = False


def used_by(run: Run) -> Use:
    """What a process uses now; nothing when it has ended."""
    sizes = {"Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    with contextlib.suppress(OSError), Path(f"/proc/{run.identity.pid}/smaps_rollup").open() as lines:
        for line in lines:
            key, _, rest = line.partition(":")
            if key in sizes:
                sizes[key] = int(rest.split()[0])
    return Use(run, sizes["Pss"] / 1024, (sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1024)


class Estimates:
    """What processes will need, in MB, judged by their siblings, or by those there were."""

    def __init__(self) -> None:
        self._known: dict[str | None, float] = {}
        self._own: dict[str, float] = {}

    def learn(self, uses: Sequence[Use]) -> None:
        """From now on judge by these, which have all been running for a while."""
        self._known.update({entry: max(_own(uses, entry)) for entry in {use.run.entry for use in uses}})
        self._own.update({use.run.name: use.own for use in uses})
        self._known.update({TEMPLATE: max(costs)} if (costs := _templates(uses)) else {})

    def needed(self, start: Start, uses: Sequence[Use]) -> float:
        """For the process, and for its template if that does not run."""
        siblings = _own([use for use in uses if use.run.snapshot == start.snapshot], start.entry)
        if start.again and start.name in self._own:
            siblings = [self._own[start.name]]
        own = max(siblings or _own(uses, start.entry), default=self._known.get(start.entry, UNKNOWN_MB))
        has_template = any(use.run.kind == "template" and use.run.snapshot == start.snapshot for use in uses)
        return own if has_template or start.entry == TEMPLATE else own + self._known.get(TEMPLATE, UNKNOWN_MB)


def _own(uses: Iterable[Use], entry: str | None) -> list[float]:
    return [use.own for use in uses if use.run.entry == entry]


def _templates(uses: Sequence[Use]) -> list[float]:
    """What each snapshot costs beside what its processes have for themselves."""
    snapshots = {use.run.snapshot for use in uses if use.run.kind == "template"}
    return [_cost([use for use in uses if use.run.snapshot == snapshot]) for snapshot in snapshots]


def _cost(uses: Sequence[Use]) -> float:
    return sum(use.share if use.run.kind == "template" else use.share - use.own for use in uses)


class Memory:
    """Admits starts in the order in which they come, each when it fits below ``limit_mb`` (None for no limit).

    ``runs`` tells which processes there are.
    """

    def __init__(self, limit_mb: int | None, runs: Callable[[], Iterable[Run]]) -> None:
        self._limit = limit_mb
        self._runs = runs
        self._changed = threading.Condition()
        self._queue: list[Start] = []
        self._closed = False
        self._promised: dict[Start, float] = {}
        self._estimates = Estimates()

    @contextmanager
    def room_for(
        self, start: Start, timeout: float | None = None, on_wait: Callable[[], object] = lambda: None
    ) -> Iterator[None]:
        """Wait until it fits, ``timeout`` seconds at most, and keep its room until it shows in what is measured.

        ``on_wait`` is called once if it has to wait. Raises NoRoomError when it does not fit in time, or can never
        fit, and ProcessError when it is withdrawn.
        """
        if self._limit is None:
            yield
            return
        self._wait(start, None if timeout is None else time.monotonic() + timeout, on_wait)
        try:
            yield
        finally:
            with self._changed:
                del self._promised[start]
                self._changed.notify_all()

    def withdraw(self, name: str) -> None:
        """Have the starts of that name wait no longer."""
        with self._changed:
            for start in self._queue:
                start.withdrawn = start.withdrawn or start.name == name
            self._changed.notify_all()

    def close(self) -> None:
        """Have no start wait any longer, also none that comes later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def look_again(self) -> None:
        """A process has ended."""
        with self._changed:
            self._changed.notify_all()

    def waiting(self) -> list[Start]:
        """The starts that wait now, in order."""
        with self._changed:
            return [start for start in self._queue if start.waits is not None]

    def _wait(self, start: Start, deadline: float | None, on_wait: Callable[[], object]) -> None:
        with self._changed:
            self._queue.insert(self._place(start), start)
        try:
            if not self._admit(start):
                on_wait()
                self._wait_in_turn(start, deadline)
        finally:
            with self._changed:
                self._queue.remove(start)
                self._changed.notify_all()

    def _wait_in_turn(self, start: Start, deadline: float | None) -> None:
        with self._changed:
            while not self._admit(start):
                left = _LOOK_AGAIN_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise NoRoomError(f"{start.name} was not started in time: {start.waits}.", start.name)
                self._changed.wait(min(left, _LOOK_AGAIN_SECONDS))

    def _place(self, start: Start) -> int:
        """In the queue."""
        return sum(each.again for each in self._queue) if start.again else len(self._queue)

    def _admit(self, start: Start) -> bool:
        with self._changed:
            return self._is_next(start) and self._fits(start)

    def _is_next(self, start: Start) -> bool:
        if start.withdrawn or self._closed:
            raise ProcessError(f"{start.name} was stopped while it waited to be started.")
        if self._queue[0] is not start:
            start.waits = f"it waits behind {self._queue[0].name}, which waits for memory"
        return self._queue[0] is start

    def _fits(self, start: Start) -> bool:
        assert self._limit is not None
        # What is ending has given its memory back, and would teach that its siblings need none.
        uses = [use for run in self._runs() if (use := used_by(run)).share]
        starting = {each.name for each in self._promised}
        running = [use for use in uses if use.run.name not in starting]
        self._estimates.learn(running)
        needed = self._estimates.needed(start, running)
        used = sum(use.share for use in uses) + sum(self._promised.values())
        if used + needed <= self._limit:
            self._promised[start] = needed
            return True
        start.waits = _why(needed, used, self._limit, uses)
        if not self._promised and all(use.run.kind == "zygote" for use in uses):
            raise NoRoomError(f"{start.name} cannot be started: {start.waits}.", start.name)
        return False


def _why(needed: float, used: float, limit: int, uses: Sequence[Use]) -> str:
    """Half a sentence: what is used, by what, and what would free it."""
    largest = sorted((use for use in uses if use.run.kind != "zygote"), key=lambda use: -use.share)[:5]
    by = ", ".join(f"{use.run.name} {use.share:.0f} MB" for use in largest)
    return (
        f"it needs about {needed:.0f} MB and {used:.0f} of {limit} MB are used"
        f"{f' ({by})' if by else ''}; end work on a version listed here, or raise the memory limit of the fleet"
    )
