"""The zygote of this host and a template per live snapshot, started when they are needed."""

from __future__ import annotations

import logging
import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from hotswap import drift, wire
from hotswap._installed import RUNTIME
from hotswap.environment import EnvironmentChange, fingerprint, outside_runtime, python_tag
from hotswap.errors import DescribeError, DriftError, HotswapError, RemoteError
from hotswap.fleet._differing import first_difference
from hotswap.fleet._endings import in_words, out_of_memory_kills
from hotswap.fleet._locks import Locks
from hotswap.fleet._memory import TEMPLATE
from hotswap.fleet._parents import START_SECONDS, Parent, connect, plain, run_of, start_zygote
from hotswap.process import crashes
from hotswap.process.context import UNCLAIMED_SECONDS, Birth
from hotswap.process.rlimits import Limits
from hotswap.process.runs import Run, Runs
from hotswap.snapshot import Snapshot
from hotswap.store import Store

Document = dict[str, Any]
Changes = tuple[EnvironmentChange, ...]

_MARGIN_SECONDS: Final = 2.0
"""A template stops an import at its limit by itself, and says where; this much later it is taken to be stuck."""

_DEATH_SECONDS: Final = 1.0
_LAST_WORDS: Final = {"lines": 200, "most": 1 << 16}
"""How much of a log may tell where the import was when it ended the process."""

_TRIES: Final = 3
_BY_OTHERS: Final = (None, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)
"""How a process ends that others end; None where nobody can tell any more."""

_ZYGOTE: Final = "zygote"

log = logging.getLogger(__name__)


class _DiedError(Exception):
    """A template ended: ``killed`` by others, which says nothing of its code, or else as ``told``."""

    def __init__(self, told: DescribeError, *, killed: bool) -> None:
        super().__init__(str(told))
        self.told = told
        self.killed = killed


class Templates:
    """Starts what it is asked for and keeps it; ``watch`` is told of each new process.

    ``strict``: nothing is forked while other distributions are installed than the snapshot was frozen with.
    """

    def __init__(
        self,
        store: Store,
        run_dir: Path,
        secret: str,
        preload: Sequence[str],
        limits: Limits,
        watch: Callable[[Run], None],
        *,
        strict: bool = False,
    ) -> None:
        self._store = store
        self._run_dir = run_dir
        self._runs = Runs(run_dir)
        self._secret = secret
        self._preload = list(preload)
        self._limits = limits
        self._watch = watch
        self._strict = strict
        self._zygote: Parent | None = None
        self._templates: dict[str, Parent] = {}
        self._drift: dict[str, Changes] = {}
        self._checked: dict[str, Snapshot] = {}
        self._lock = Locks()
        self._starting: list[Run] = []
        self._interrupted = False
        self._memory_kills = out_of_memory_kills()

    def adopt(self, run: Run, timeout: float) -> None:
        """Take over a zygote or template that an earlier fleet of this host started."""
        self.connect(run, timeout).close()
        parent = Parent(run, self.connect)
        if run.snapshot is None:
            self._zygote = parent
        else:
            self._templates[run.snapshot] = parent

    def connect(self, run: Run, timeout: float = START_SECONDS) -> wire.Client:
        """Connect to a process and make sure that it is the one meant; see ``_parents.connect``."""
        return connect(run, self._secret, timeout)

    def describe(self, snapshot: str, hook: str | None) -> Document:
        """What the snapshot's template says of it. Raises DescribeError."""
        with self._lock(snapshot):
            self._check_environment(snapshot)
            try:
                told = self._answer(snapshot, "describe", hook=hook)
            except RemoteError as error:
                self.release(snapshot)
                raise described(error) from error
            self._check_reproduced(snapshot, told)
            return {**told, "drift": [[one.name, one.before, one.after] for one in self._met(snapshot)]}

    def ask(self, snapshot: str, hook: str, question: Document) -> Document:
        """What a hook answers in a throw-away fork of the snapshot's template. Raises DescribeError."""
        with self._lock(snapshot):
            self._check_environment(snapshot)
            try:
                return self._answer(snapshot, "ask", hook=hook, question=question)
            except RemoteError as error:
                raise described(error) from error

    def fork(self, birth: Birth) -> Run:
        """Have the template of the birth's snapshot start a process. Raises HotswapError or OSError."""
        log_start = self._runs.log_size(birth.name)
        with self._lock(birth.snapshot):
            self._check_environment(birth.snapshot)
            try:
                answer = self._call(birth.snapshot, "fork", birth=plain(birth))
            except RemoteError as error:
                raise described(error) if error.kind == DescribeError.__name__ else error from error
        return run_of("process", birth, answer, log_start)

    def _answer(self, snapshot: str, op: str, **arguments: Any) -> Document:
        """As ``_call``, of a template that must not take longer than its code may."""
        try:
            return self._call(snapshot, op, **arguments)
        except TimeoutError as error:
            if snapshot not in self._templates:
                raise
            raise self._late(snapshot, self._templates[snapshot].run) from error

    def _call(self, snapshot: str, op: str, **arguments: Any) -> Document:
        """Ask the template of a snapshot; another one, a few times, when somebody kills the one there is.

        Raises DescribeError when its code ends it, or when it is killed too often, and what the call itself raises.
        """
        for left in reversed(range(_TRIES)):
            try:
                return self._called(snapshot, op, arguments)
            except _DiedError as death:
                if not (death.killed and left) or self._interrupted:
                    raise death.told from death
                log.warning("The template of version %s was killed; another one is started.", snapshot[:12])
        raise AssertionError("the last try returns or raises")

    def _called(self, snapshot: str, op: str, arguments: Document) -> Document:
        parent = self._template(snapshot)
        try:
            answer: Document = parent.call(op, **arguments)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._died(snapshot, parent.run) from error
        return answer

    def birth(self, name: str, snapshot: str, entry: str, arguments: Document) -> Birth:
        """All that decides what a new process of a snapshot is. Raises UnknownSnapshotError or DamagedError."""
        found = self._checked.get(snapshot) or self._store.open(snapshot)
        return Birth(
            name=name,
            snapshot=found.id,
            package=found.package,
            tree=str(self._store.root / "trees" / found.id),
            entry=entry,
            arguments=arguments,
            instance=secrets.token_hex(16),
            run_dir=str(self._run_dir),
            secret=self._secret,
        )

    def runs(self, snapshot: str) -> bool:
        """Whether the snapshot has a template now."""
        parent = self._templates.get(snapshot)
        return parent is not None and parent.alive()

    def live(self) -> list[str]:
        """The snapshots that have a template."""
        return list(self._templates)

    def release(self, snapshot: str) -> None:
        """End the template of a snapshot; what was forked from it goes on."""
        with self._lock(snapshot):
            parent = self._templates.get(snapshot)
            if parent is not None:
                parent.end()
                self._runs.forget(parent.run)
            self._drop(snapshot)

    def interrupt(self) -> None:
        """Kill every template, also those that import: they have no work, but somebody may wait for them."""
        self._interrupted = True
        for run in [*self._starting, *(parent.run for parent in list(self._templates.values()))]:
            run.identity.kill()

    def end(self) -> None:
        """End the zygote and every template."""
        for snapshot in self.live():
            self.release(snapshot)
        if self._zygote is not None:
            self._zygote.end()

    def close(self) -> None:
        """Let go of them; they run on."""
        for parent in [*self._templates.values(), *([self._zygote] if self._zygote else [])]:
            parent.close()

    def exit_code(self, run: Run) -> int | None:
        """How a fork of a template ended, if the template lives to tell."""
        with self._lock(run.snapshot or ""):
            parent = self._templates.get(run.snapshot or "")
            return parent.exit_code(run.identity.pid) if parent is not None else None

    def _template(self, snapshot: str) -> Parent:
        parent = self._templates.get(snapshot)
        if parent is None or not parent.alive():
            self._drop(snapshot)
            parent = self._start_template(snapshot)
            self._templates[snapshot] = parent
        return parent

    def _check_environment(self, snapshot: str) -> None:
        """Raises DriftError; asked each time, for what is installed changes while a template lives."""
        if not self._strict:
            return
        found = self._checked.get(snapshot) or self._store.open(snapshot)
        if changes := outside_runtime(drift.check(self._store, found)):
            raise DriftError(drift.sentence(snapshot, changes))

    def _met(self, snapshot: str) -> Changes:
        """How the environment that the template met differs from the recorded one. Raises DriftError."""
        if snapshot not in self._drift:
            found = self._checked.get(snapshot) or self._store.open(snapshot)
            self._drift[snapshot] = drift.check(self._store, found)
        return self._drift[snapshot]

    def _drop(self, snapshot: str) -> None:
        self._drift.pop(snapshot, None)
        self._checked.pop(snapshot, None)
        parent = self._templates.pop(snapshot, None)
        if parent is not None:
            parent.close()

    def _start_template(self, snapshot: str) -> Parent:
        with self._store.use(snapshot) as found:  # until the template uses it itself
            self._checked[snapshot] = found
            if found.python != python_tag():
                self._met(snapshot)  # raises DriftError before anything runs
            run = self._fork_template(snapshot)
            self._starting.append(run)
            try:
                if self._interrupted:
                    run.identity.kill()
                changes = self._met(snapshot)  # while it imports
                parent = Parent(run, partial(self.connect, timeout=self._limits.seconds + _MARGIN_SECONDS))
            except HotswapError:
                run.identity.kill()
                self._drop(snapshot)
                raise
            except TimeoutError as error:
                raise self._late(snapshot, run) from error
            except OSError as error:
                raise self._died(snapshot, run) from error
            finally:
                self._starting.remove(run)
        if changes:
            parent.call("warn", text=drift.sentence(snapshot, changes))
        return parent

    def _fork_template(self, snapshot: str) -> Run:
        arguments = {
            "limits": asdict(self._limits),
            "manifest": str(self._store.root / "manifests" / f"{snapshot}.json"),
            "unclaimed_seconds": UNCLAIMED_SECONDS,
        }
        birth = self.birth(template_name(snapshot), snapshot, TEMPLATE, arguments)
        log_start = self._runs.log_size(birth.name)
        with self._lock(_ZYGOTE):
            run = run_of("template", birth, self._forked_from_zygote(birth), log_start)
        self._watch(run)
        return run

    def _forked_from_zygote(self, birth: Birth) -> Document:
        """Ask once more, of a new zygote, when the one there was died while it was asked."""
        try:
            answer: Document = self._running_zygote().call("template", birth=plain(birth))
        except TimeoutError:
            raise
        except OSError as error:
            log.warning("The zygote died (%s); another one is started.", error)
            self._forget_zygote()
            answer = self._running_zygote().call("template", birth=plain(birth))
        return answer

    def _forget_zygote(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _running_zygote(self) -> Parent:
        if self._strict and self._zygote is not None and self._runs.told(_ZYGOTE) != self._preloaded():
            log.warning("The zygote has modules that are installed in another version now; another one is started.")
            self._zygote.end()
        if self._zygote is None or not self._zygote.alive():
            self._forget_zygote()
            if self._strict:
                self._runs.keep_told(_ZYGOTE, self._preloaded())  # before it imports: a change meanwhile is seen
            run = start_zygote(self._run_dir, self._secret, self._preload, UNCLAIMED_SECONDS)
            self._watch(run)
            try:
                self._zygote = Parent(run, self.connect)
            except (OSError, HotswapError):
                run.identity.kill()
                raise
        return self._zygote

    def _preloaded(self) -> Document:
        """What the zygote imports, as it is installed now; that of the runtime is its own matter."""
        found = fingerprint(name.partition(".")[0] for name in self._preload).versions()
        return {name: version for name, version in found.items() if name != RUNTIME}

    def _check_reproduced(self, snapshot: str, told: Document) -> None:
        name = template_name(snapshot)
        now = {"modules": told["modules"], "told": told["told"]}
        before = self._runs.told(name)
        if before is None:
            self._runs.keep_told(name, now)
        elif (where := first_difference(before, now)) is not None:
            self.release(snapshot)
            raise DescribeError(
                f"Version {snapshot[:12]} describes itself differently than before, first in {where}; "
                "make what it registers depend on its own files only."
            )

    def _late(self, snapshot: str, run: Run) -> DescribeError:
        self._drop(snapshot)
        run.identity.kill()
        return DescribeError(
            f"Version {snapshot[:12]} took longer than {self._limits.seconds:g} s to import and could not be "
            "interrupted; look for native code that works or waits at import."
        )

    def _died(self, snapshot: str, run: Run) -> _DiedError:
        self._drop(snapshot)
        run.identity.wait(_DEATH_SECONDS)
        with self._lock(_ZYGOTE):
            code = self._zygote.exit_code(run.identity.pid) if self._zygote is not None else None
        kills, self._memory_kills = self._memory_kills, out_of_memory_kills()
        memory_was_short = self._memory_kills > kills
        how = "" if code is None else f" ({in_words(code, memory_was_short=memory_was_short)})"
        words = "\n".join(self._runs.last_words(run, **_LAST_WORDS))
        path, line = crashes.place(words, self._store.root / "trees" / snapshot) or (None, None)
        where = f" in {path}, line {line}" if path else ""
        told = DescribeError(
            f"Version {snapshot[:12]} ended its process while it was imported{how}{where}; see {run.name}.log.",
            path,
            line,
        )
        return _DiedError(told, killed=code in _BY_OTHERS and not memory_was_short)


def template_name(snapshot: str) -> str:
    return f"template-{snapshot[:12]}"


def described(error: RemoteError) -> DescribeError:
    """The DescribeError that the other side raised."""
    path, line = error.detail.get("path"), error.detail.get("line")
    return DescribeError(str(error), path if isinstance(path, str) else None, line if isinstance(line, int) else None)
