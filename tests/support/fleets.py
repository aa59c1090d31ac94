"""What the tests of fleets share: a package to freeze, a way to have it spawned, and questions to ask."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from hotswap import wire
from hotswap.fleet import Fleet, Started
from hotswap.process import Identity
from hotswap.source import TreeSource
from hotswap.store import Store

ENTRY = "sample_app.service:main"
SECRET = "a secret of the tests"

SERVICE = """
import os, resource, signal, subprocess, sys, threading
from multiprocessing import get_context
from hotswap.process import serve
from . import VERSION

def lazily():
    from . import late
    return late.VALUE

def child():
    from . import VERSION
    return VERSION

def in_subprocess():
    command = [sys.executable, "-m", "sample_app.child"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

def in_spawned_process():
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(child)

def handlers():
    found = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD)]
    return [str(each) for each in found]

def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

def limits():
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)
    return [resource.getrlimit(kind)[0] for kind in kinds]

def main(context):
    if context.arguments.get("fail"):
        raise RuntimeError("told to fail")
    ballast = b"x" * (context.arguments.get("mb", 0) << 20)
    busy = threading.Event()
    operations = {
        "version": lambda: VERSION, "lazily": lazily, "in_subprocess": in_subprocess,
        "in_spawned_process": in_spawned_process, "ballast": lambda: len(ballast),
        "session": lambda: os.getsid(0) == os.getpid(), "arguments": lambda: context.arguments,
        "handlers": handlers, "umask": umask, "limits": limits,
        "blocked": lambda: [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "forked": lambda: "hotswap.process.template" not in sys.orig_argv and "hotswap.process.zygote" in sys.orig_argv,
        "exit": lambda: os._exit(7), "work": busy.set,
    }
    unclaimed = context.arguments.get("unclaimed", 60.0)
    serve(context, operations, idle=lambda: not busy.is_set(), unclaimed_seconds=unclaimed)
    if busy.is_set():
        with open(context.arguments["gate"]) as gate:  # a named pipe: work lasts until somebody opens its other end
            gate.read()
"""

THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"

Freeze = Callable[..., str]
StartFleet = Callable[..., Fleet]


class Freezer:
    """Freezes ``sample_app``; ``init`` is what its ``__init__`` begins with, each other keyword a module."""

    def __init__(self, store: Store, folder: Path, init: str = "") -> None:
        self._store = store
        self._package = folder / "sample_app"
        self._package.mkdir(parents=True)
        self._init = init

    def __call__(self, version: int, init: str = "", **modules: str) -> str:
        texts = {
            "__init__": f"{self._init}{textwrap.dedent(init)}\nVERSION = {version}\n",
            "service": SERVICE,
            "late": f"VALUE = 'late {version}'\n",
            "child": "from sample_app import VERSION\nprint(VERSION)\n",
        }
        for name, text in {**texts, **modules}.items():
            (self._package / f"{name}.py").write_text(textwrap.dedent(text))
        return self._store.freeze(TreeSource(self._package)).id


def ask(started: Started, op: str) -> Any:
    with wire.Client(started.address, SECRET, timeout=30) as client:
        return client.call(op)


def parents(fleet: Fleet) -> list[Identity]:
    """Zygote and templates."""
    return [Identity.from_dict(each["identity"]) for each in fleet.processes() if each["kind"] != "process"]


def processes_below(folder: Path) -> list[psutil.Process]:
    """Processes whose output goes to a file below the folder: every version process logs there."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            log = Path(f"/proc/{process.pid}/fd/2").readlink()
            if log.is_relative_to(folder) and process.status() != "zombie":
                found.append(process)
    return found
