"""The template: a single-threaded process with one snapshot imported, from which that snapshot's workers are forked."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from hotswap import wire
from hotswap.describe import ask_in_fork, import_package
from hotswap.errors import DescribeError, ProcessError
from hotswap.process import crashes, hygiene
from hotswap.process._noticing import Noticing, children
from hotswap.process.context import Birth, live
from hotswap.process.identity import Identity
from hotswap.process.rlimits import Limits
from hotswap.process.runs import Run, Runs
from hotswap.process.surroundings import prepare

Document = dict[str, Any]

_REMEMBERED: Final = 256

log = logging.getLogger(__name__)


class Become(BaseException):
    """Unwinds a fork out of its parent's loop, closing the parent's connections on the way, to live its own life."""

    def __init__(self, birth: Birth, listener: socket.socket) -> None:
        super().__init__(birth.name)
        self.birth = birth
        self.listener = listener


class Children:
    """The forks of a single-threaded process: reaped when they end, so that none stays a zombie."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._ended: dict[int, int] = {}
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())

    def add(self, pid: int, listener: socket.socket) -> Document:
        """Take charge of a child that serves on ``listener``; tells who and where it is."""
        address = wire.address_of(listener)
        listener.close()
        self._ended.pop(pid, None)  # of an earlier child with this number
        try:
            identity = Identity.of(pid)
        except ProcessLookupError:
            raise ProcessError("The process ended as soon as it was started; see its log.") from None
        finally:
            self._running.add(pid)
            self._reap()
        return {"identity": identity.to_dict(), "address": list(address)}

    def exit_code(self, pid: int) -> int | None:
        """Exit code of an ended child, negative for a signal; None while it runs or for another's child."""
        self._reap()
        return self._ended.get(pid)

    def kill_others(self) -> None:
        """Kill what the import started: nobody would find it once this process has ended."""
        for pid in set(children()) - self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid in list(self._running):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # the signal came while we were here, and has seen to it
                continue
            if done:
                self._running.discard(pid)
                self._ended[pid] = os.waitstatus_to_exitcode(status)
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]


def run_template(birth: Birth, listener: socket.socket) -> NoReturn:
    """Import the snapshot, then serve ``describe`` and ``fork`` until told to end. Ends the process."""
    hygiene.begin_own_life({listener.fileno()}, birth.log)
    announce("template", birth, listener)
    lock = _use(Path(birth.arguments["manifest"]))
    prepare(birth.snapshot, birth.tree)
    template = _Template(birth, lock)
    hello = {**Identity.mine().to_dict(), "name": birth.name, "snapshot": birth.snapshot, "instance": birth.instance}
    try:
        wire.serve_alone(listener, birth.secret, hello, template.handlers(), birth.arguments["unclaimed_seconds"])
    except Become as fork:
        hygiene.begin_own_life({fork.listener.fileno(), lock}, fork.birth.log)
        announce("process", fork.birth, fork.listener)
        live(fork.birth, fork.listener)
    template.end()
    os._exit(0)


def _use(manifest: Path) -> int:
    """Keep the snapshot from being collected until this process and all that inherit the descriptor have ended.

    Whoever starts a template uses the snapshot meanwhile, so it cannot be gone; see ``Store.use``.
    """
    descriptor = os.open(manifest, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def announce(kind: str, birth: Birth, listener: socket.socket) -> None:
    """Leave a record by which this process can be found, adopted and stopped, whatever happens to its parents."""
    runs = Runs(Path(birth.run_dir))
    runs.save(
        Run(
            birth.name,
            kind,
            birth.snapshot,
            Identity.mine(),
            wire.address_of(listener),
            birth.instance,
            birth.entry,
            birth.arguments,
            runs.log_size(birth.name),
            spawned_because=birth.spawned_because,
        )
    )


class _Template:
    """``lock`` is the descriptor that keeps the snapshot from being collected, for every process that has it."""

    def __init__(self, birth: Birth, lock: int) -> None:
        self._birth = birth
        self._lock = lock
        self._children = Children()
        self._limits = Limits(**birth.arguments["limits"])
        self._error: DescribeError | None = None
        self._modules: list[str] = []
        self._noticed = Noticing(Path(birth.tree))
        try:
            self._import()
        except DescribeError as error:
            self._error = error
        gc.freeze()  # keeps the collector of each fork from touching, and so copying, the shared pages

    def _import(self) -> None:
        gc.disable()  # nearly all that is made stays; what does not is collected at the end
        try:
            self._import_watched()
        finally:
            gc.enable()

    def _import_watched(self) -> None:
        with hygiene.undone(), crashes.told(), self._noticed.watching(), self._limits.imposed():
            self._modules = import_package(self._birth.package, Path(self._birth.tree))

    def handlers(self) -> dict[str, wire.Handler]:
        return {
            "describe": self.describe,
            "ask": self.ask,
            "fork": self.fork,
            "exit_code": self._children.exit_code,
            "warn": self.warn,
            "stop": self.stop,
        }

    def describe(self, hook: str | None) -> Document:
        """``{modules, forks, spawned_because, told}``; see ``Fleet.describe``."""
        if self._error is not None:
            raise self._error
        reasons = self._noticed.reasons
        return {"modules": self._modules, "forks": not reasons, "spawned_because": reasons, "told": self._ask(hook)}

    def ask(self, hook: str, question: Document) -> Document:
        """What the hook answers in a throw-away fork; see ``ask_in_fork``."""
        if self._error is not None:
            raise self._error
        return ask_in_fork(hook, self._birth.package, Path(self._birth.tree), self._limits, question)

    def _ask(self, hook: str | None) -> Document:
        return {} if hook is None else self.ask(hook, {})

    def fork(self, birth: Document) -> Document:
        """Start a version process of this snapshot: forked, or spawned where what its import left makes that unsafe."""
        if self._error is not None:
            raise self._error
        child = replace(Birth(**birth, secret=self._birth.secret), spawned_because=self._noticed.reasons)
        listener = wire.listen()
        if self._noticed.reasons:
            pid = spawn("hotswap.process.spawned", child, listener, keep=[self._lock])
        else:
            pid = fork_to_live(child, listener)
        return self._children.add(pid, listener)

    def end(self) -> None:
        self._children.kill_others()

    def warn(self, text: str) -> None:
        """Note in the log what whoever started this found wrong meanwhile."""
        log.warning("%s", text)

    def stop(self) -> None:
        raise wire.EndServing


def fork_to_live(birth: Birth, listener: socket.socket) -> int:
    """Fork; the child leaves through ``Become``, the parent gets its pid."""
    pid = os.fork()
    if pid == 0:
        raise Become(birth, listener)
    return pid


def spawn(module: str, birth: Birth, listener: socket.socket, keep: Sequence[int] = ()) -> int:
    """Start a process in a fresh interpreter: ``module``, which reads its birth from standard input.

    Its arguments are the descriptors of its listener and of what else it is to keep.
    """
    descriptors = [listener.fileno(), *keep]
    command = [sys.executable, "-P", "-m", module, *map(str, descriptors)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=descriptors)
    assert process.stdin
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(json.dumps(asdict(birth)).encode())
    process.returncode = 0  # reaped by its parent's own list of children
    return process.pid


def main() -> None:
    """Be the template of the birth on standard input, where the zygote cannot fork one."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    run_template(Birth(**json.load(sys.stdin)), listener)


if __name__ == "__main__":
    main()
