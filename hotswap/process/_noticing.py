"""Notices what importing a package leaves behind that a fork would break: threads, processes, open descriptors, random
generators.

Threads do not survive a fork, but the locks they hold do. Only the parent of a process can wait for it. A descriptor
that two processes share mixes up what they read and write. Two forks of a generator draw the same numbers.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_TASKS: Final = Path("/proc/self/task")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_KNOWN: Final = _TASKS.exists()
_JOINED_SECONDS: Final = 0.2
_MULTIPROCESSING: Final = "multiprocessing.process"  # asked about, never imported
_SHOWN: Final = 60  # characters of a command line


class Noticing:
    """Watches one import, of code below ``tree`` or, without it, of any code.

    ``reasons`` are sentences without a full stop that say which module did what; none means that a fork is safe.
    """

    def __init__(self, tree: Path | None = None) -> None:
        self._within = f"{tree}{os.sep}" if tree else ""
        self._executing: list[str] = []
        self._tasks: int | None = None
        self._seen = _marks()
        self._probe = _probe(None)
        self._before = set(self._seen)
        self._blamed: dict[str, str] = {}
        self.reasons: list[str] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is imported meanwhile, and make ``reasons`` of what is left at the end."""
        with self._counting(), self._watched(SourceFileLoader), self._watched(ExtensionFileLoader):
            yield
        self.reasons = self._found() if _KNOWN else ["this operating system does not tell what a fork would break"]
        if self.reasons and _KNOWN:
            gc.collect()  # what nobody can reach any more is no reason
            _let_threads_end()
            self.reasons = self._found()

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        """Have the folder of threads open, which is nothing that the import left."""
        if _KNOWN:
            self._tasks = os.open(_TASKS, os.O_RDONLY)
            self._seen.add(f"fd/{self._tasks}")
        self._probe = _probe(self._tasks)
        try:
            yield
        finally:
            if self._tasks is not None:
                os.close(self._tasks)
            self._tasks = None

    @contextlib.contextmanager
    def _watched(self, loader: type[Any]) -> Iterator[None]:
        """Have what modules of this kind do blamed on them."""
        original = loader.exec_module
        own = "exec_module" in vars(loader)

        def exec_module(self_: Any, module: ModuleType) -> None:
            if not str(getattr(module, "__file__", None) or "").startswith(self._within):
                original(self_, module)
                return
            self._blame()
            self._executing.append(module.__name__)
            try:
                original(self_, module)
            finally:
                self._blame()
                self._executing.pop()

        loader.exec_module = exec_module
        try:
            yield
        finally:
            if own:
                loader.exec_module = original
            else:
                del loader.exec_module

    def _blame(self) -> None:
        """Whatever is new was done by the module that executes now."""
        if (probe := _probe(self._tasks)) == self._probe:
            return
        self._probe, marks = probe, _marks()
        if self._executing:
            for mark in marks - self._seen:
                self._blamed[mark] = self._executing[-1]
        self._seen = marks

    def _found(self) -> list[str]:
        return list(dict.fromkeys([*self._left(), *_generators()]))

    def _left(self) -> Iterator[str]:
        for mark in sorted(_marks() - self._before):
            what = _told(mark)
            if what is not None:
                yield f"{self._blamed.get(mark, 'the import')} {what}"


def _probe(tasks: int | None) -> tuple[int, int, list[int]]:
    """Differs after a thread, process or descriptor was added; quick, as it is asked before and after each module.

    ``tasks`` is a descriptor of the folder of threads, which tells their number faster than its name does.
    """
    lowest = os.dup(0)  # a new descriptor gets the lowest number that is free
    os.close(lowest)
    threads = os.fstat(tasks).st_nlink if tasks is not None else 0
    return lowest, threads, children()


def _marks() -> set[str]:
    """Every thread, child process and descriptor of this process by its number."""
    if not _KNOWN:
        return set()
    threads = {f"task/{number}" for number in _numbers(_TASKS)}
    processes = {f"child/{number}" for number in children()}
    return threads | processes | {f"fd/{number}" for number in _numbers(_DESCRIPTORS) if _is_open(number)}


def children() -> list[int]:
    """The processes that were started here and not waited for yet."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # told at once that there are none, as is usual
        return []
    mine = str(os.getpid()).encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == mine]


def _parent(stat: Path) -> bytes:
    """The number of a process's parent; nothing for one that has ended."""
    try:
        return stat.read_bytes().rpartition(b")")[2].split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _let_threads_end() -> None:
    """A thread that was joined is for a moment still there for the kernel, but no more for Python."""
    deadline = time.monotonic() + _JOINED_SECONDS
    while time.monotonic() < deadline:
        # After a fork the main thread still tells the number that it had in the parent.
        known = {threading.get_native_id(), *(thread.native_id for thread in threading.enumerate())}
        if not _KNOWN or all(number in known for number in _numbers(_TASKS)):
            return
        time.sleep(0.001)


def _numbers(folder: Path) -> list[int]:
    return [int(name) for name in os.listdir(folder)]  # noqa: PTH208 - no Path objects are needed


def _is_open(descriptor: int) -> bool:
    """False for the descriptor that listed the others, whose number is the next to be given away."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _told(mark: str) -> str | None:
    """What is behind a mark; None for what is gone meanwhile."""
    kind, _, number = mark.partition("/")
    if kind == "task":
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        name = names.get(int(number))
        return f"started the thread {name!r}" if name else "started a thread in native code"
    if kind == "child":
        return f"started the process {_command(int(number))!r}"
    try:
        target = str((_DESCRIPTORS / number).readlink())
    except FileNotFoundError:
        return None
    return f"opened {_socket(int(number)) if target.startswith('socket:') else target}"


def _command(number: int) -> str:
    """The name that multiprocessing gave to a process, or how it was called, or at least its number."""
    multiprocessing = sys.modules.get(_MULTIPROCESSING)
    for child in list(multiprocessing._children) if multiprocessing else ():
        if child.pid == number:
            return str(child.name)
    words = Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    return words[:_SHOWN] or str(number)


def _socket(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as found:
        try:
            return f"a connection to {_address(found.getpeername())}"
        except OSError:  # nobody at the other end
            return f"a socket at {_address(found.getsockname())}"


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "an unnamed address")


def _generators() -> Iterator[str]:
    """Every random generator made since the last freeze that has a seed and is not reseeded after a fork."""
    objects = gc.get_objects()
    kinds = tuple(kind for kind in set(map(type, objects)) if _draws(kind))
    if not kinds:
        return
    legacy = sys.modules.get("numpy.random.mtrand")
    reseeded = [getattr(random, "_inst", None), getattr(legacy, "_rand", None)]
    found = [each for each in objects if type(each) in kinds and not any(each is one for one in reseeded)]
    names = _names() if found else {}
    for each in found:
        yield names.get(id(each), f"the import keeps a random generator of {type(each).__module__}")


def _draws(kind: type) -> bool:
    """Whether such objects draw numbers from a seed."""
    numpy = sys.modules.get("numpy.random")
    kinds = (random.Random, *((numpy.Generator, numpy.RandomState) if numpy else ()))
    return issubclass(kind, kinds) and not issubclass(kind, random.SystemRandom)


def _names() -> dict[int, str]:
    """What to say of every global of a module and attribute of a class, by its ``id``."""
    names = {}
    for name, module in list(sys.modules.items()):
        for attribute, value in list(vars(module).items()):
            names[id(value)] = f"{name} keeps the random generator {attribute}"
            if isinstance(value, type) and value.__module__ == name:
                for inner, each in list(vars(value).items()):
                    names[id(each)] = f"{name} keeps the random generator {attribute}.{inner}"
    return names
