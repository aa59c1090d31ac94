"""What a driver process does again and again for its devices: one thread for all of it, started when there is any."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

_ENDING_SECONDS: Final = 2.0


@dataclass(eq=False)
class Job:
    """``action`` is done every ``interval`` seconds, for the first time after ``delay``.

    It returns False when its device is busy, having seen to it that what it was given is called when that is over:
    it is done again then.
    """

    interval: float
    action: Callable[[Callable[[], None]], bool]
    delay: float = 0.0
    resting: bool = False
    ended: bool = False


class Periodic:
    """The jobs of the devices that are connected. A slow one delays the others by as long as it takes."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._due: list[tuple[float, int, Job]] = []
        self._number = itertools.count()
        self._jobs: dict[str, Sequence[Job]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self, device: str, jobs: Sequence[Job]) -> None:
        """Do these for a device, and no others any more."""
        self.end(device)
        with self._news:
            self._jobs[device] = jobs
            for job in jobs:
                self._plan(job, time.monotonic() + job.delay)
            if jobs and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)
                self._thread.start()

    def end(self, device: str) -> None:
        """Begin none of the device's any more; one that is being done is left to end."""
        with self._news:
            for job in self._jobs.pop(device, ()):
                job.ended = True

    def close(self) -> None:
        """End, waiting for what is being done, but not for ever: a driver may hang."""
        with self._news:
            self._closed = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(_ENDING_SECONDS)

    def _plan(self, job: Job, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._number), job))
        self._news.notify()

    def _run(self) -> None:
        while (found := self._next()) is not None:
            due, job = found
            if self._do(job):
                with self._news:
                    job.resting = False
                    # What was missed while the device was busy is not made up for.
                    self._plan(job, max(due + job.interval, time.monotonic()))

    def _next(self) -> tuple[float, Job] | None:
        """The next job when it is due, at rest until it is planned anew; None when all is over."""
        with self._news:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    due, _, job = heapq.heappop(self._due)
                    if not job.ended:
                        job.resting = True
                        return due, job
                else:
                    self._news.wait(wait)
            return None

    def _do(self, job: Job) -> bool:
        try:
            return job.action(lambda: self._wake(job))
        except Exception:  # whatever goes wrong with one job, the others go on, and so does it
            log.exception("A periodic job failed.")
            return True

    def _wake(self, job: Job) -> None:
        with self._news:
            if job.resting:
                job.resting = False
                self._plan(job, time.monotonic())
