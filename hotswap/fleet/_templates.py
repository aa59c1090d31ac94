"""The zygote of this host and a template per live snapshot, started when they are needed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import bson
from blake3 import blake3

from hotswap import wire
from hotswap.errors import DescribeError, HotswapError, ProcessError, RemoteError
from hotswap.fleet._runs import Run
from hotswap.process.context import UNCLAIMED_SECONDS, Birth
from hotswap.process.identity import Identity
from hotswap.store import Store

Document = dict[str, Any]

START_SECONDS: Final = 60.0
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a snapshot may use to import and describe itself: wall time and address space."""

    seconds: float = 30.0
    memory_mb: int = 8192


class Parent:
    """A running zygote or template and the connection to it, made again after a call that failed."""

    def __init__(self, run: Run, connect: Callable[[Run], wire.Client]) -> None:
        self.run = run
        self._connect = connect
        self._client = connect(run)

    def call(self, op: str, **arguments: Any) -> Any:
        if self._client.closed:
            self._client = self._connect(self.run)
        return self._client.call(op, **arguments)

    def alive(self) -> bool:
        return self.run.identity.alive()

    def close(self) -> None:
        self._client.close()

    def end(self) -> None:
        """Ask it to end, and see that it does."""
        with contextlib.suppress(OSError, HotswapError):
            self.call("stop")
        self.close()
        if not self.run.identity.wait(5):
            self.run.identity.kill()


class Templates:
    """Starts what it is asked for and keeps it; ``announce`` is told of each new process."""

    def __init__(
        self,
        store: Store,
        run_dir: Path,
        secret: str,
        preload: Sequence[str],
        limits: Limits,
        announce: Callable[[Run], None],
    ) -> None:
        self._store = store
        self._run_dir = run_dir
        self._secret = secret
        self._preload = list(preload)
        self._limits = limits
        self._announce = announce
        self._zygote: Parent | None = None
        self._templates: dict[str, Parent] = {}
        self._told: dict[str, str] = {}
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def adopt(self, run: Run) -> None:
        """Take over a zygote or template that an earlier fleet of this host started."""
        parent = Parent(run, self.connect)
        if run.snapshot is None:
            self._zygote = parent
        else:
            self._templates[run.snapshot] = parent

    def connect(self, run: Run, timeout: float = START_SECONDS) -> wire.Client:
        """Connect to a process and make sure that it is the one meant. Raises ProcessError otherwise."""
        client = wire.Client(run.address, self._secret, timeout=timeout)
        if client.hello["instance"] != run.instance:
            client.close()
            raise ProcessError(f"{run.name} is gone and another process has its address; it will be started anew.")
        return client

    def describe(self, snapshot: str, hook: str | None) -> Document:
        """What the snapshot's template says of it. Raises DescribeError."""
        with self._locks[snapshot]:
            parent = self._template(snapshot)
            try:
                told: Document = parent.call("describe", hook=hook, timeout=self._limits.seconds)
            except RemoteError as error:
                self.release(snapshot)
                raise _described(error) from error
            except (TimeoutError, OSError) as error:
                raise self._died(snapshot, parent, error) from error
            self._check_reproduced(snapshot, told)
            return told

    def fork(self, birth: Birth) -> Document:
        """Have the template of the birth's snapshot start a process; returns its identity and address."""
        with self._locks[birth.snapshot]:
            answer: Document = self._template(birth.snapshot).call("fork", birth=_plain(birth))
            return answer

    def birth(self, name: str, snapshot: str, entry: str, arguments: Document) -> Birth:
        found = self._store.open(snapshot)
        return Birth(
            name=name,
            snapshot=found.id,
            package=found.package,
            tree=str(self._store.tree(found.id)),
            entry=entry,
            arguments=arguments,
            instance=secrets.token_hex(16),
            run_dir=str(self._run_dir),
            secret=self._secret,
        )

    def release(self, snapshot: str) -> Run | None:
        """End the template of a snapshot; what was forked from it goes on."""
        with self._locks[snapshot]:
            parent = self._templates.pop(snapshot, None)
            if parent is None:
                return None
            parent.end()
            return parent.run

    def end(self) -> None:
        """End the zygote and every template."""
        for snapshot in list(self._templates):
            self.release(snapshot)
        if self._zygote is not None:
            self._zygote.end()

    def close(self) -> None:
        """Let go of them; they run on."""
        for parent in [*self._templates.values(), *([self._zygote] if self._zygote else [])]:
            parent.close()

    def exit_code(self, snapshot: str, pid: int) -> int | None:
        """How a fork of the template ended, if the template lives to tell."""
        parent = self._templates.get(snapshot)
        if parent is None:
            return None
        try:
            with self._locks[snapshot]:
                code: int | None = parent.call("exit_code", pid=pid)
                return code
        except (OSError, RemoteError):
            return None

    def _template(self, snapshot: str) -> Parent:
        parent = self._templates.get(snapshot)
        if parent is None or not parent.alive():
            self._drop(snapshot)
            parent = self._start_template(snapshot)
            self._templates[snapshot] = parent
        return parent

    def _drop(self, snapshot: str) -> None:
        parent = self._templates.pop(snapshot, None)
        if parent is not None:
            parent.close()

    def _start_template(self, snapshot: str) -> Parent:
        arguments = {"memory_mb": self._limits.memory_mb, "unclaimed_seconds": UNCLAIMED_SECONDS}
        birth = self.birth(f"template-{snapshot[:12]}", snapshot, "", arguments)
        with self._locks["zygote"]:
            answer = self._running_zygote().call("template", birth=_plain(birth))
        run = _run_of("template", birth, answer)
        self._announce(run)
        try:
            return Parent(run, partial(self.connect, timeout=self._limits.seconds))
        except (TimeoutError, OSError) as error:
            raise self._died(snapshot, None, error, run.identity) from error

    def _running_zygote(self) -> Parent:
        if self._zygote is None or not self._zygote.alive():
            if self._zygote is not None:
                self._zygote.close()
            self._zygote = self._start_zygote()
        return self._zygote

    def _start_zygote(self) -> Parent:
        listener = wire.listen()
        instance = secrets.token_hex(16)
        descriptor = listener.fileno()
        with (self._run_dir / "zygote.log").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hotswap.process.zygote", str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=[descriptor],
                start_new_session=True,
                cwd=self._run_dir,
                env={**os.environ, **_ONE_THREAD},
            )
        settings = {
            "secret": self._secret,
            "instance": instance,
            "preload": self._preload,
            "unclaimed_seconds": UNCLAIMED_SECONDS,
        }
        assert process.stdin
        with process.stdin as pipe:
            pipe.write(json.dumps(settings).encode())
        process.returncode = 0  # it may outlive us; whoever watches its identity reaps it
        run = Run("zygote", "zygote", None, Identity.of(process.pid), wire.address_of(listener), instance)
        listener.close()
        self._announce(run)
        return Parent(run, self.connect)

    def _check_reproduced(self, snapshot: str, told: Document) -> None:
        digest = blake3(bson.encode(told)).hexdigest()
        if self._told.setdefault(snapshot, digest) != digest:
            self.release(snapshot)
            raise DescribeError(
                f"Version {snapshot[:12]} describes itself differently than before; "
                "make what it registers depend on its own files only."
            )

    def _died(
        self, snapshot: str, parent: Parent | None, error: OSError, identity: Identity | None = None
    ) -> DescribeError:
        identity = parent.run.identity if parent else identity
        self._drop(snapshot)
        if isinstance(error, TimeoutError):
            if identity is not None:
                identity.kill()
            return DescribeError(
                f"Version {snapshot[:12]} took longer than {self._limits.seconds:g} s to import; "
                "look for work done at import."
            )
        code = self._template_exit_code(identity) if identity is not None else None
        how = "" if code is None else f" (signal {-code})" if code < 0 else f" (exit code {code})"
        return DescribeError(f"Version {snapshot[:12]} ended its process while it was imported{how}; see its log.")

    def _template_exit_code(self, identity: Identity) -> int | None:
        identity.wait(1)
        deadline = time.monotonic() + 1
        while self._zygote is not None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, RemoteError), self._locks["zygote"]:
                code: int | None = self._zygote.call("exit_code", pid=identity.pid)
                if code is not None:
                    return code
        return None


def _run_of(kind: str, birth: Birth, answer: Document) -> Run:
    host, port = answer["address"]
    identity = Identity.from_dict(answer["identity"])
    return Run(birth.name, kind, birth.snapshot, identity, (host, port), birth.instance, birth.entry, birth.arguments)


def _plain(birth: Birth) -> Document:
    document = asdict(birth)
    del document["secret"]  # the other side knows it
    return document


def _described(error: RemoteError) -> DescribeError:
    path, line = error.detail.get("path"), error.detail.get("line")
    return DescribeError(str(error), path if isinstance(path, str) else None, line if isinstance(line, int) else None)
