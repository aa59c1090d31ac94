"""The fleet: starts version processes by name, keeps them claimed, restarts the crashed, and adopts what it finds."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from hotswap import wire
from hotswap.errors import HotswapError, ProcessError, UnknownSnapshotError
from hotswap.fleet._endings import in_words, out_of_memory_kills, reap, restart_delay
from hotswap.fleet._gate import Gate
from hotswap.fleet._locks import Locks
from hotswap.fleet._members import Members
from hotswap.fleet._memory import TEMPLATE, Memory, Start
from hotswap.fleet._owner import own
from hotswap.fleet._parents import START_SECONDS
from hotswap.fleet._started import Started, Wanted, started
from hotswap.fleet._telling import told_of_run, told_of_start
from hotswap.fleet._templates import Templates, template_name
from hotswap.process.identity import DeathWatch
from hotswap.process.rlimits import Limits
from hotswap.process.runs import Run, Runs
from hotswap.store import Store

Document = dict[str, Any]

SHORT_LIFE_SECONDS: Final = 60.0
ADOPT_SECONDS: Final = 10.0
_ASK_SECONDS: Final = 5.0
_KILL_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Fleet:
    """The version processes of one host and one state directory.

    ``hook`` (``module:function``) is called in each snapshot's template to describe it; ``preload`` names the heavy
    third-party modules that every version shares. With ``memory_mb`` (MB of 2^20 bytes) a process that would take all
    of them together above it is not started before others have ended. ``strict``: nothing is started
    from a snapshot while other distributions are installed than it was frozen with; DriftError says which. Processes
    outlive the fleet; ``close(end=True)`` ends them. Raises ProcessError while another fleet has ``run_dir``.
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
        memory_mb: int | None = None,
        strict: bool = False,
    ) -> None:
        self._owner = own(run_dir)
        self._store = store
        self._hook = hook
        self._runs = Runs(run_dir)
        self._watch = DeathWatch()
        self._templates = Templates(
            store, run_dir, secret, preload, limits or Limits(), self._watch_parent, strict=strict
        )
        self._memory = Memory(memory_mb, self._runs.load)
        self._gate = Gate()
        self._lock = Locks()
        self._members = Members(self._ensure_member, self.drain)
        self._starting: list[Run] = []
        self._processes: dict[str, Run] = {}
        self._ending: dict[str, Run] = {}
        self._claims: dict[str, wire.Client] = {}
        self._deaths: defaultdict[str, int] = defaultdict(int)
        self._causes: dict[str, str] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._memory_kills = out_of_memory_kills()

    def adopt(self) -> None:
        """Take over what an earlier fleet left running, and start again what should run but has died."""
        found = list(self._runs.load())
        # Parents first: a process that is started again must find the template that runs, not start a second one.
        _at_once(self._adopt_parent, [run for run in found if run.kind != "process"])
        _at_once(self._adopt_process, [run for run in found if run.kind == "process" and run.identity.alive()])
        _at_once(self._revive, [run for run in found if run.kind == "process" and not run.identity.alive()])

    def describe(self, snapshot: str, timeout: float | None = None) -> Document:
        """``{modules, forks, spawned_because, told}``: what the template imported, whether processes are forked from
        it, or why not, and what the hook told. Raises DescribeError; NoRoomError without room in ``timeout`` seconds.
        """
        snapshot = self._store.resolve(snapshot)
        with self._gate, self._room_for_template(snapshot, timeout):
            return self._templates.describe(snapshot, self._hook)

    def ask(self, snapshot: str, hook: str, question: Document) -> Document:
        """What ``hook(package, **question)`` returns in a fork of the snapshot's template. Raises DescribeError."""
        snapshot = self._store.resolve(snapshot)
        with self._gate, self._room_for_template(snapshot, None):
            return self._templates.ask(snapshot, hook, question)

    def ensure(
        self, name: str, snapshot: str, entry: str, arguments: Document, timeout: float | None = None
    ) -> Started:
        """The process ``name``, started from ``snapshot`` if it does not run; returns once it serves.

        One of that name with another snapshot is drained once its successor serves. Waits ``timeout`` seconds at most
        for memory; who waits for as long as it takes has its predecessor drained to make room. Raises ProcessError with
        the reason when it does not start.
        """
        wanted = Wanted(name, self._store.resolve(snapshot), entry, arguments)
        make_way = partial(self._make_way, wanted)
        return self._ensure(wanted, timeout, make_way if timeout is None else lambda: None)

    def reconcile(self, wanted: Iterable[Wanted]) -> dict[str, Started]:
        """Have exactly the wanted processes run: drain the others, release templates that nothing wanted needs, start
        what is missing. Those that serve.

        What has to wait for memory is ``queued`` and starts in its turn, unless it is no longer wanted by then. Raises
        ProcessError that tells of all that did not start, after the others have.
        """
        by_name = {each.name: each for each in wanted}
        for name in self._members.give_up(by_name.values()):
            self._memory.withdraw(name)
        for name in [name for name in self._processes if name not in by_name]:
            self.drain(name)
        needed = {each.snapshot for each in by_name.values()}
        for snapshot in [snapshot for snapshot in self._templates.live() if snapshot not in needed]:
            self.release(snapshot)
        return self._members.start(by_name.values())

    def drain(self, name: str, instance: str | None = None) -> None:
        """Ask a process, if there is one, to end when its work has ended, and do not start it again.

        With ``instance``, only that very process, not a successor of the same name.
        """
        self._memory.withdraw(name)
        with self._lock(name):
            run = self._processes.get(name)
            if run is not None and instance in (None, run.instance):
                self._drain(run)

    def stop(self, name: str, grace: float, instance: str | None = None) -> None:
        """Ask a process, if there is one, to end; kill it when it has not within ``grace`` seconds.

        With ``instance``, only that very process, not a successor of the same name.
        """
        if instance is None:
            self._memory.withdraw(name)
        with self._lock(name):
            known = [*self._ending.values(), *([self._processes[name]] if name in self._processes else [])]
            for run in known:
                if run.name == name and instance in (None, run.instance):
                    self._end(run, grace)

    def kill(self, name: str) -> None:
        """Kill a process and wait until it is dead; it is started again as after any other death."""
        run = self._processes.get(name)
        if run is not None:
            run.identity.kill()
            run.identity.wait(_KILL_SECONDS)

    def release(self, snapshot: str) -> None:
        """End the template of a snapshot that needs no new processes."""
        self._templates.release(snapshot)
        self._runs.prune()
        self._memory.look_again()

    def processes(self) -> list[Document]:
        """Every process with its name, kind, snapshot, pid, address and state, and ``why`` it is in that state.

        States: ``running``, ``ending`` (drained or being stopped), ``restarting`` (it died and is started again), and
        ``queued`` (it waits for memory, and has no pid, identity, address and instance yet). ``spawned_because`` has
        the reasons, if a process was spawned and not forked.
        """
        return [*map(self._told, self._runs.load()), *map(told_of_start, self._memory.waiting())]

    def interrupt(self) -> None:
        """Start nothing any more, and give up what is being started; what runs goes on until ``close``.

        Callable from a signal handler.
        """
        self._gate.shut()
        self._memory.close()
        self._templates.interrupt()
        for run in list(self._starting):
            run.identity.kill()

    def close(self, *, end: bool = False, grace: float = 5.0) -> None:
        """Let go of the processes, or end them all."""
        self._gate.shut()
        self._memory.close()
        for timer in list(self._timers.values()):
            timer.cancel()
        if end:
            self.interrupt()
        self._gate.wait_until_empty()
        if end:
            self._end_all(grace)
        self._watch.close()
        self._templates.close()
        for claim in list(self._claims.values()):
            claim.close()
        self._owner.close()

    def _end_all(self, grace: float) -> None:
        _at_once(lambda run: self._end(run, grace), [run for run in self._runs.load() if run.kind == "process"])
        self._templates.end()
        for run in list(self._runs.load()):
            run.identity.kill()
            run.identity.wait(_KILL_SECONDS)
            reap(run.identity.pid)
            self._runs.forget(run)
        self._runs.forget_told()

    def _room_for_template(self, snapshot: str, timeout: float | None) -> contextlib.AbstractContextManager[object]:
        if self._templates.runs(snapshot):
            return contextlib.nullcontext()
        return self._memory.room_for(Start(template_name(snapshot), snapshot, TEMPLATE), timeout)

    def _ensure(self, wanted: Wanted, timeout: float | None, on_wait: Callable[[], object]) -> Started:
        """``wanted`` has the whole id of its snapshot."""
        name, snapshot, entry = wanted.name, wanted.snapshot, wanted.entry
        with self._gate:
            with self._lock(name):
                run = self._serving(name, snapshot)
            if run is None:
                with self._memory.room_for(Start(name, snapshot, entry), timeout, on_wait), self._lock(name):
                    run = self._serving(name, snapshot) or self._start(name, snapshot, entry, wanted.arguments)
            return started(run)

    def _ensure_member(self, wanted: Wanted, on_wait: Callable[[], None]) -> Started:
        resolved = replace(wanted, snapshot=self._store.resolve(wanted.snapshot))

        def wait() -> None:
            on_wait()
            self._make_way(resolved)

        return self._ensure(resolved, None, wait)

    def _make_way(self, wanted: Wanted) -> None:
        """Drain the predecessor of one that waits for memory: it would wait for ever for what that uses."""
        with self._lock(wanted.name):
            run = self._processes.get(wanted.name)
            if run is not None and run.snapshot != wanted.snapshot:
                self._drain(run)

    def _serving(self, name: str, snapshot: str) -> Run | None:
        run = self._processes.get(name)
        return run if run is not None and run.snapshot == snapshot and run.identity.alive() else None

    def _start(self, name: str, snapshot: str, entry: str, arguments: Document) -> Run:
        """The caller holds the lock of the name."""
        run = self._templates.fork(self._templates.birth(name, snapshot, entry, arguments))
        try:
            with self._interruptible(run):
                self._claim(run, START_SECONDS)
        except (OSError, HotswapError) as error:
            reason = self._why(run) or error
            run.identity.kill()
            run.identity.wait(_KILL_SECONDS)
            self._gone(run)
            raise ProcessError(f"{name} did not start: {reason}; see {name}.log.") from error
        before = self._processes.get(name)
        self._processes[name] = run
        self._watch.watch(run.identity, partial(self._died, run))
        if before is not None:
            self._drain(before)
        return run

    @contextlib.contextmanager
    def _interruptible(self, run: Run) -> Iterator[None]:
        self._starting.append(run)
        try:
            if not self._gate.open:
                run.identity.kill()
            yield
        finally:
            self._starting.remove(run)

    def _claim(self, run: Run, timeout: float) -> None:
        self._claims[run.instance] = self._templates.connect(run, timeout)

    def _drain(self, run: Run) -> None:
        self._take_out(run)
        if run.identity.alive():
            self._ask_to_end(run, _ASK_SECONDS)
        if not run.identity.alive():
            self._gone(run)

    def _end(self, run: Run, grace: float) -> None:
        self._take_out(run)
        self._ask_to_end(run, max(grace, 0.1))
        if not run.identity.wait(grace):
            log.warning("%s did not end within %g s and was killed.", run.name, grace)
            run.identity.kill()
            run.identity.wait(_KILL_SECONDS)
        self._gone(run)

    def _take_out(self, run: Run) -> None:
        """From now on its death is what is wanted, also for a fleet that comes after this one."""
        if self._is_current(run):
            del self._processes[run.name]
            self._deaths.pop(run.name, None)
            self._causes.pop(run.name, None)
            timer = self._timers.pop(run.name, None)
            if timer is not None:
                timer.cancel()
        if run.identity.alive():
            self._ending[run.instance] = run
            self._runs.save(replace(run, ends=True))

    def _ask_to_end(self, run: Run, timeout: float) -> None:
        with contextlib.suppress(OSError, HotswapError), self._templates.connect(run, timeout) as client:
            client.call("stop")

    def _gone(self, run: Run) -> None:
        """It has ended and is not wanted any more."""
        self._ending.pop(run.instance, None)
        self._let_go(run)
        self._runs.forget(run)
        self._runs.prune()
        self._memory.look_again()

    def _let_go(self, run: Run) -> None:
        claim = self._claims.pop(run.instance, None)
        if claim is not None:
            claim.close()

    def _is_current(self, run: Run) -> bool:
        current = self._processes.get(run.name)
        return current is not None and current.instance == run.instance

    def _adopt_parent(self, run: Run) -> None:
        try:
            if run.identity.alive():
                self._templates.adopt(run, ADOPT_SECONDS)
                self._watch_parent(run)
                return
        except (OSError, HotswapError) as error:
            log.warning("%s (pid %d) is replaced: %s", run.name, run.identity.pid, error)
            run.identity.kill()  # it has no work of its own
        self._runs.forget(run)

    def _adopt_process(self, run: Run) -> None:
        """One that is not reachable is left alone, as it may work, but is not taken for the process of its name."""
        self._watch.watch(run.identity, partial(self._died, run))
        try:
            if not run.ends and run.name not in self._processes:
                self._claim(run, ADOPT_SECONDS)
                self._processes[run.name] = run
                log.info("Adopted %s (pid %d).", run.name, run.identity.pid)
                return
        except (OSError, HotswapError) as error:
            log.warning("%s (pid %d) cannot be adopted: %s", run.name, run.identity.pid, error)
        self._drain(run)

    def _revive(self, run: Run) -> None:
        if run.ends or run.name in self._processes:
            self._runs.forget(run)
        else:
            self._processes[run.name] = run
            self._start_again(run, None, wait_for_memory=0)

    def _watch_parent(self, run: Run) -> None:
        """A zygote or template is started again when it is needed; until then its death only has to be cleared away."""

        def clear_away() -> None:
            reap(run.identity.pid)
            self._runs.forget(run)
            self._memory.look_again()

        self._watch.watch(run.identity, clear_away)

    def _died(self, run: Run) -> None:
        """Runs on the watching thread, so it only decides; starting again happens on a timer's thread."""
        code = reap(run.identity.pid)
        self._let_go(run)
        self._memory.look_again()
        if not self._is_current(run):
            self._gone(run)
        elif self._gate.open:
            life = time.time() - _born(run)
            if life > SHORT_LIFE_SECONDS:
                self._deaths.pop(run.name, None)
            self._schedule(run, code)

    def _schedule(self, run: Run, code: int | None) -> None:
        self._deaths[run.name] += 1
        timer = threading.Timer(restart_delay(self._deaths[run.name]), self._start_again, [run, code])
        timer.daemon = True
        self._timers[run.name] = timer
        timer.start()

    def _start_again(self, run: Run, code: int | None, wait_for_memory: float | None = None) -> None:
        assert run.snapshot is not None
        assert run.entry is not None
        why = self._why(run, code) or "killed"
        self._causes[run.name] = why
        log.warning("%s ended (%s); it is started again.", run.name, why)
        try:
            start = Start(run.name, run.snapshot, run.entry, again=True)
            with self._gate, self._memory.room_for(start, wait_for_memory), self._lock(run.name):
                if self._is_current(run):
                    self._start(run.name, run.snapshot, run.entry, run.arguments or {})
        except UnknownSnapshotError as error:
            log.error("%s is given up: %s", run.name, error)  # noqa: TRY400 - the sentence says it
            self._take_out(run)
            self._gone(run)
        except (HotswapError, OSError) as error:
            if self._gate.open and self._is_current(run):
                log.error("%s", error)  # noqa: TRY400 - the sentence says it; the trace is in the process's own log
                self._schedule(run, code)

    def _why(self, run: Run, code: int | None = None) -> str | None:
        """Why a process ended, as far as anybody can tell; None while it lives."""
        outcome = self._runs.exit_outcome(run)
        if outcome is not None or run.identity.alive():
            return outcome
        if code is None:
            code = self._templates.exit_code(run)
        kills, self._memory_kills = self._memory_kills, out_of_memory_kills()
        reason = "killed" if code is None else in_words(code, memory_was_short=self._memory_kills > kills)
        words = " / ".join(self._runs.last_words(run))
        return f"{reason}; its log ends: {words}" if words else reason

    def _told(self, run: Run) -> Document:
        return told_of_run(run, self._deaths.get(run.name, 0), self._causes.get(run.name))


def _at_once(action: Callable[[Run], None], runs: Iterable[Run]) -> None:
    threads = [threading.Thread(target=action, args=(run,), name=f"fleet {run.name}") for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _born(run: Run) -> float:
    """Wall-clock time at which the process started, from its start time in ticks since boot."""
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - uptime + run.identity.start_time / os.sysconf("SC_CLK_TCK")
