"""The fleet: starts version processes by name, keeps them claimed, restarts the crashed, and adopts what it finds."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hotswap import wire
from hotswap.errors import HotswapError, ProcessError, RemoteError
from hotswap.fleet._runs import Run, Runs, Started
from hotswap.fleet._templates import START_SECONDS, Limits, Templates, _run_of
from hotswap.process.identity import DeathWatch
from hotswap.store import Store

Document = dict[str, Any]

SHORT_LIFE_SECONDS: Final = 60.0
LONGEST_DELAY_SECONDS: Final = 30.0
_KILL_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Fleet:
    """The version processes of one host and one state directory.

    ``hook`` (``module:function``) is called in each snapshot's template to describe it; ``preload`` names the heavy
    third-party modules that every version shares. Processes outlive the fleet; ``close(end=True)`` ends them.
    """

    def __init__(
        self,
        store: Store,
        run_dir: Path,
        secret: str,
        *,
        hook: str | None = None,
        preload: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self._hook = hook
        self._runs = Runs(run_dir)
        self._watch = DeathWatch()
        self._templates = Templates(store, run_dir, secret, preload, limits or Limits(), self._announce)
        self._processes: dict[str, Run] = {}
        self._claims: dict[str, wire.Client] = {}
        self._deaths: defaultdict[str, int] = defaultdict(int)
        self._timers: dict[str, threading.Timer] = {}
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._closed = False

    def adopt(self) -> None:
        """Take over what an earlier fleet left running, and start again what should run but has died."""
        # Parents first: a process that is started again must find the template that runs, not start a second one.
        for run in sorted(self._runs.load(), key=lambda run: run.kind == "process"):
            if run.identity.alive() and self._adopted(run):
                log.info("Adopted %s (pid %d).", run.name, run.identity.pid)
            elif run.kind == "process":
                self._processes[run.name] = run
                self._start_again(run.name)
            else:
                self._runs.forget(run.name)

    def describe(self, snapshot: str) -> Document:
        """``{modules, forks, told}``: what the template imported, whether it can fork, what the hook told.

        Raises DescribeError.
        """
        return self._templates.describe(snapshot, self._hook)

    def ensure(self, name: str, snapshot: str, entry: str, arguments: Document) -> Started:
        """The process ``name``, started from ``snapshot`` if it does not run; returns once it serves."""
        with self._locks[name]:
            run = self._processes.get(name)
            if run is not None and run.snapshot == snapshot and run.identity.alive():
                return run.started()
            return self._start(name, snapshot, entry, arguments).started()

    def stop(self, name: str, grace: float) -> None:
        """Ask a process, if there is one, to end; kill it when it has not within ``grace`` seconds."""
        with self._locks[name]:
            run = self._forget(name)
            claim = self._claims.pop(name, None)
            if run is None:
                return
            if claim is not None:
                with contextlib.suppress(OSError, RemoteError, HotswapError):
                    claim.call("stop")
                claim.close()
            if not run.identity.wait(grace):
                log.warning("%s did not end within %g s and was killed.", name, grace)
                run.identity.kill()
                run.identity.wait(_KILL_SECONDS)

    def kill(self, name: str) -> None:
        """Kill a process and wait until it is dead; it is started again as after any other death."""
        run = self._processes.get(name)
        if run is not None:
            run.identity.kill()
            run.identity.wait(_KILL_SECONDS)

    def release(self, snapshot: str) -> None:
        """End the template of a snapshot that needs no new processes."""
        run = self._templates.release(snapshot)
        if run is not None:
            self._runs.forget(run.name)

    def processes(self) -> list[Document]:
        """Every process with its name, kind, snapshot, pid and address."""
        return [
            {
                "name": run.name,
                "kind": run.kind,
                "snapshot": run.snapshot,
                "entry": run.entry,
                "pid": run.identity.pid,
                "identity": run.identity.to_dict(),
                "address": list(run.address),
                "alive": run.identity.alive(),
            }
            for run in self._runs.load()
        ]

    def close(self, *, end: bool = False, grace: float = 5.0) -> None:
        """Let go of the processes, or end them all."""
        self._closed = True
        for timer in list(self._timers.values()):
            timer.cancel()
        if end:
            self._stop_all(grace)
            self._templates.end()
            for run in list(self._runs.load()):
                if not run.identity.wait(grace):
                    run.identity.kill()
                self._runs.forget(run.name)
        self._watch.close()
        self._templates.close()
        for claim in self._claims.values():
            claim.close()

    def _stop_all(self, grace: float) -> None:
        threads = [threading.Thread(target=self.stop, args=(name, grace)) for name in list(self._processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _start(self, name: str, snapshot: str, entry: str, arguments: Document) -> Run:
        birth = self._templates.birth(name, snapshot, entry, arguments)
        run = _run_of("process", birth, self._templates.fork(birth))
        self._processes[name] = run
        self._runs.save(run)  # before anybody can wait for it, so that a crash of ours leaves no orphan unknown
        try:
            self._claim(run)
        except (OSError, ProcessError) as error:
            reason = self._why(run)
            self._forget(name)
            run.identity.kill()
            raise ProcessError(f"{name} did not start: {reason or error}; see {name}.log.") from error
        self._watch.watch(run.identity, lambda: self._died(run))
        return run

    def _claim(self, run: Run) -> None:
        old = self._claims.pop(run.name, None)
        if old is not None:
            old.close()
        self._claims[run.name] = self._templates.connect(run, timeout=START_SECONDS)

    def _announce(self, run: Run) -> None:
        self._runs.save(run)
        self._watch_parent(run)

    def _watch_parent(self, run: Run) -> None:
        """A zygote or template is started again when it is needed; until then its death only has to be cleared away."""

        def clear_away() -> None:
            _reap(run.identity.pid)
            self._runs.forget(run.name, run.instance)

        self._watch.watch(run.identity, clear_away)

    def _adopted(self, run: Run) -> bool:
        try:
            if run.kind == "process":
                self._claim(run)
                self._processes[run.name] = run
                self._watch.watch(run.identity, lambda: self._died(run))
            else:
                self._templates.adopt(run)
                self._watch_parent(run)
        except (OSError, HotswapError) as error:
            log.warning("%s cannot be adopted: %s", run.name, error)
            return False
        return True

    def _forget(self, name: str) -> Run | None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        self._runs.forget(name)
        return self._processes.pop(name, None)

    def _died(self, run: Run) -> None:
        """Runs on the watching thread, so it only decides; starting again happens on a timer's thread."""
        _reap(run.identity.pid)
        if self._closed or self._processes.get(run.name) is not run:
            return
        life = time.time() - _born(run)
        self._deaths[run.name] = 1 if life > SHORT_LIFE_SECONDS else self._deaths[run.name] + 1
        delay = restart_delay(self._deaths[run.name])
        timer = threading.Timer(delay, self._start_again, [run.name])
        timer.daemon = True
        self._timers[run.name] = timer
        timer.start()

    def _start_again(self, name: str) -> None:
        with self._locks[name]:
            run = self._processes.get(name)
            if run is None or run.identity.alive() or self._closed:
                return
            log.warning("%s ended (%s); it is started again.", name, self._why(run) or "killed")
            assert run.snapshot is not None
            assert run.entry is not None
            try:
                self._start(name, run.snapshot, run.entry, run.arguments or {})
            except (HotswapError, OSError) as error:
                log.error("%s", error)  # noqa: TRY400 - the sentence says it; the trace is in the process's own log
                self._processes[name] = run
                self._runs.save(run)
                self._died(run)

    def _why(self, run: Run) -> str | None:
        outcome = self._runs.exit_outcome(run.name, run.identity)
        if outcome is not None or run.snapshot is None:
            return outcome
        code = self._templates.exit_code(run.snapshot, run.identity.pid)
        return None if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"


def restart_delay(deaths: int) -> float:
    """Seconds to wait after the nth death in a row: none after the first, then doubling up to a limit."""
    return 0.0 if deaths <= 1 else min(LONGEST_DELAY_SECONDS, 0.25 * 2.0**deaths)


def _born(run: Run) -> float:
    """Wall-clock time at which the process started, from its start time in ticks since boot."""
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - uptime + run.identity.start_time / os.sysconf("SC_CLK_TCK")


def _reap(pid: int) -> None:
    """Orphans become children of the nearest subreaper, which may be this process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
