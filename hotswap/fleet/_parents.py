"""Zygote and templates as the fleet sees them: processes that others are forked from."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from hotswap import wire
from hotswap.errors import HotswapError, ProcessError
from hotswap.process.context import Birth
from hotswap.process.identity import Identity
from hotswap.process.runs import Run, Runs

Document = dict[str, Any]

START_SECONDS: Final = 60.0
_END_SECONDS: Final = 5.0
_REAP_SECONDS: Final = 1.0
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


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

    def exit_code(self, pid: int) -> int | None:
        """How a child ended; None while it runs, for another's child, and when this process cannot tell any more."""
        deadline = time.monotonic() + _REAP_SECONDS
        with contextlib.suppress(OSError, HotswapError):
            while self.alive():
                there = Path(f"/proc/{pid}").exists()
                code: int | None = self.call("exit_code", pid=pid)
                if code is not None or not there or time.monotonic() > deadline:
                    return code
                time.sleep(0.005)  # a process with threads has ended a moment before it can be waited for
        return None

    def alive(self) -> bool:
        return self.run.identity.alive()

    def close(self) -> None:
        self._client.close()

    def end(self) -> None:
        """Ask it to end, and see that it does."""
        if self.alive():
            with contextlib.suppress(OSError, HotswapError):
                self.call("stop")
        self.close()
        if not self.run.identity.wait(_END_SECONDS):
            self.run.identity.kill()
            self.run.identity.wait(_END_SECONDS)


def connect(run: Run, secret: str, timeout: float = START_SECONDS) -> wire.Client:
    """Connect to a process and make sure that it is the one meant: by number, start time, boot, and its own token.

    Raises ProcessError, WireError or OSError otherwise.
    """
    client = wire.Client(run.address, secret, timeout=timeout)
    hello = client.hello
    if hello["instance"] == run.instance and Identity.from_dict(hello) == run.identity:
        return client
    client.close()
    raise ProcessError(f"{run.name} is gone and another process has its address; it will be started anew.")


def start_zygote(run_dir: Path, secret: str, preload: Sequence[str], unclaimed_seconds: float) -> Run:
    """Start a fresh interpreter that imports ``preload`` and then serves.

    It ends unless it is told what to do, and is told only when it has a record by which others can end it.
    """
    settings = {
        "secret": secret,
        "instance": secrets.token_hex(16),
        "preload": list(preload),
        "unclaimed_seconds": unclaimed_seconds,
    }
    with wire.listen() as listener:
        process = _launch("hotswap.process.zygote", listener.fileno(), run_dir)
        identity, address = Identity.of(process.pid), wire.address_of(listener)
    run = Run("zygote", "zygote", None, identity, address, str(settings["instance"]))
    assert process.stdin
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        Runs(run_dir).save(run)
        pipe.write(json.dumps(settings).encode())
    return run


def run_of(kind: str, birth: Birth, answer: Document, log_start: int = 0) -> Run:
    """The record of a process, from what its parent told of it."""
    host, port = answer["address"]
    identity = Identity.from_dict(answer["identity"])
    return Run(
        birth.name,
        kind,
        birth.snapshot,
        identity,
        (host, port),
        birth.instance,
        birth.entry,
        birth.arguments,
        log_start,
    )


def plain(birth: Birth) -> Document:
    """A birth as it travels to a process that knows the secret."""
    document = asdict(birth)
    del document["secret"]
    return document


def _launch(module: str, descriptor: int, run_dir: Path) -> subprocess.Popen[bytes]:
    with (run_dir / "zygote.log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            pass_fds=[descriptor],
            start_new_session=True,
            cwd=run_dir,
            env={**os.environ, **_ONE_THREAD},
        )
    process.returncode = 0  # it may outlive us; whoever watches its identity reaps it
    return process
