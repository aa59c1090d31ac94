"""The template: a single-threaded process with one snapshot imported, from which that snapshot's workers are forked."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from hotswap import wire
from hotswap.describe import ask_in_fork, import_package
from hotswap.errors import DescribeError
from hotswap.process import hygiene
from hotswap.process.context import Birth, live
from hotswap.process.identity import Identity

Document = dict[str, Any]


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
        identity = Identity.of(pid)
        self._running.add(pid)
        self._reap()
        return {"identity": identity.to_dict(), "address": list(address)}

    def exit_code(self, pid: int) -> int | None:
        """Exit code of an ended child, negative for a signal; None while it runs or for another's child."""
        self._reap()
        return self._ended.get(pid)

    def _reap(self) -> None:
        for pid in list(self._running):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # the signal came while we were here, and has seen to it
                continue
            if done:
                self._running.discard(pid)
                self._ended[pid] = os.waitstatus_to_exitcode(status)


def prepare(birth: Birth) -> None:
    """Make the snapshot the one that this process, and every process it starts, imports by its plain name."""
    sys.path.insert(0, birth.tree)
    sys.dont_write_bytecode = True
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([birth.tree, inherited] if inherited else [birth.tree])
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["HOTSWAP_SNAPSHOT"] = birth.snapshot
    short = birth.snapshot[:12]
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s %(levelname)s [{short}] %(name)s: %(message)s", force=True
    )


def run_template(birth: Birth, listener: socket.socket) -> NoReturn:
    """Import the snapshot, then serve ``describe`` and ``fork`` until told to end. Ends the process."""
    hygiene.begin_own_life({listener.fileno()}, birth.log)
    prepare(birth)
    hygiene.limit_memory(birth.arguments["memory_mb"])
    template = _Template(birth)
    hello = {**Identity.mine().to_dict(), "name": birth.name, "snapshot": birth.snapshot, "instance": birth.instance}
    try:
        wire.serve_alone(listener, birth.secret, hello, template.handlers(), birth.arguments["unclaimed_seconds"])
    except Become as fork:
        live(fork.birth, fork.listener)
    os._exit(0)


class _Template:
    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._children = Children()
        self._error: DescribeError | None = None
        self._modules: list[str] = []
        try:
            self._modules = import_package(birth.package, Path(birth.tree))
        except DescribeError as error:
            self._error = error
        gc.collect()
        gc.freeze()  # keeps the collector of each fork from touching, and so copying, the shared pages

    def handlers(self) -> dict[str, wire.Handler]:
        return {"describe": self.describe, "fork": self.fork, "exit_code": self._children.exit_code, "stop": self.stop}

    def describe(self, hook: str | None, timeout: float) -> Document:
        if self._error is not None:
            raise self._error
        told = ask_in_fork(hook, self._birth.package, Path(self._birth.tree), timeout) if hook else {}
        return {"modules": self._modules, "forks": hygiene.single_threaded(), "told": told}

    def fork(self, birth: Document) -> Document:
        """Start a version process of this snapshot: forked, or spawned where threads make a fork unsafe."""
        if self._error is not None:
            raise self._error
        child = Birth(**birth, secret=self._birth.secret)
        listener = wire.listen()
        pid = fork_to_live(child, listener) if hygiene.single_threaded() else _spawn(child, listener)
        return self._children.add(pid, listener)

    def stop(self) -> None:
        raise wire.EndServing


def fork_to_live(birth: Birth, listener: socket.socket) -> int:
    """Fork; the child leaves through ``Become``, the parent gets its pid."""
    pid = os.fork()
    if pid == 0:
        raise Become(birth, listener)
    return pid


def _spawn(birth: Birth, listener: socket.socket) -> int:
    """Start the process in a fresh interpreter, which imports the snapshot itself."""
    command = [sys.executable, "-P", "-m", "hotswap.process.spawned", str(listener.fileno())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    assert process.stdin
    with process.stdin as pipe:
        pipe.write(json.dumps(asdict(birth)).encode())
    process.returncode = 0  # reaped by the template's own list of children
    return process.pid
