"""Import a snapshot's package and have it say what it defines; runs inside the snapshot's template process.

What is wrong is told with the file and the line, relative to the snapshot's tree.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import all_suffixes
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

import bson

from hotswap.errors import DescribeError
from hotswap.process import crashes, hygiene
from hotswap.process.rlimits import LimitPassed, Limits, passed

Document = dict[str, Any]

_MARGIN_SECONDS = 1.0
_NOT_IMPORTED = frozenset({"tests", "__main__"})
_SUFFIXES = tuple(all_suffixes())


def import_package(package: str, tree: Path) -> list[str]:
    """Import every module of the package, so that no thread ever has to; return their names.

    Folders named ``tests`` are left out: they may need what only a developer has installed. So is a folder without
    ``__init__.py`` that no module imports from: it may hold scripts or templates. Raises DescribeError.
    """
    try:
        return _import_all(package, tree)
    except (Exception, SystemExit, LimitPassed) as error:  # whatever the lab's code raises is its author's to know
        raise explain(error, tree, f"{package} does not import") from error


def _import_all(package: str, tree: Path) -> list[str]:
    before = None if package in sys.modules else next(reversed(sys.modules))
    importlib.import_module(package)
    names = [package]
    seen: set[str] = set()
    while new := {name: each for name, each in _packages(package, tree, before) if name not in seen}:
        seen.update(new)
        for parent, folders in new.items():
            for found in _modules(folders):
                names.append(name := f"{parent}.{found}")
                if sys.modules.get(name) is None:  # None makes the import fail, as the code may want
                    importlib.import_module(name)
    return names


def _packages(package: str, tree: Path, before: str | None) -> Iterator[tuple[str, list[str]]]:
    """Name and folders of each package that is loaded by now, whoever imported it."""
    below, within = f"{package}.", f"{tree}{os.sep}"
    for name in _loaded_after(before):
        if f"{name}.".startswith(below) and _NOT_IMPORTED.isdisjoint(name.split(".")):
            yield name, [path for path in getattr(sys.modules[name], "__path__", ()) if path.startswith(within)]


def _loaded_after(before: str | None) -> list[str]:
    """The names of modules in the order they came; those that a fork shares with its parent are not even touched."""
    return list(takewhile(lambda name: name != before, reversed(sys.modules)))[::-1]


def _modules(folders: list[str]) -> list[str]:
    """The names of what can be imported from the folders, in order."""
    found: dict[str, None] = {}
    for folder in folders:
        found.update(dict.fromkeys(sorted(filter(None, map(_module, os.scandir(folder))))))
    return [name for name in found if name not in _NOT_IMPORTED]


def _module(entry: os.DirEntry[str]) -> str | None:
    """``pkgutil.iter_modules`` tells the same, at several times the cost."""
    name, dot, ending = entry.name.partition(".")
    if dot:
        return name if f".{ending}" in _SUFFIXES and name != "__init__" else None
    is_package = entry.is_dir() and any(Path(entry.path, f"__init__{suffix}").is_file() for suffix in _SUFFIXES)
    return name if is_package else None


# Python before 3.11.4 raises ValueError for what later ones call a SyntaxError.
_NULL_BYTES = "source code string cannot contain null bytes"


def explain(error: BaseException, tree: Path, what: str) -> DescribeError:
    """Turn whatever the package raised into one sentence with file and line."""
    if isinstance(error, DescribeError):
        return error
    if isinstance(error, ValueError) and str(error) == _NULL_BYTES:
        error = SyntaxError(_NULL_BYTES)
    path, line = _locate(error, tree)
    where = f" in {path}, line {line}" if path else ""
    limit = passed(error)
    if limit is not None:
        return DescribeError(
            f"{what}: it passed the limit of {limit}{where}; do less at import, or raise it.", path, line
        )
    reason = _reason(error, tree)
    return DescribeError(f"{what}: {type(error).__name__}{where}: {reason}.", path, line)


def _reason(error: BaseException, tree: Path) -> str:
    """What an error says, in one line and without the place of the tree."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    line = " ".join(said.replace(f"{tree}{os.sep}", "").split())
    return line.removesuffix(".") or "no reason given"


def _locate(error: BaseException, tree: Path) -> tuple[str | None, int | None]:
    if isinstance(error, SyntaxError):
        if error.filename and Path(error.filename).is_relative_to(tree):
            return _relative(error.filename, tree), error.lineno
        if not error.filename and (found := _null_byte(tree)):
            return found
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(tree):
            return _relative(frame.filename, tree), frame.lineno
    return None, None


def _null_byte(tree: Path) -> tuple[str, int] | None:
    """The first one in a source; the compiler refuses it without saying where it is."""
    for path in sorted(tree.rglob("*.py")):
        before, null, _ = path.read_bytes().partition(b"\0")
        if null:
            return path.relative_to(tree).as_posix(), before.count(b"\n") + 1
    return None


def _relative(filename: str, tree: Path) -> str:
    return Path(filename).relative_to(tree).as_posix()


def ask_in_fork(hook: str, package: str, tree: Path, limits: Limits, question: Document | None = None) -> Document:
    """Run the hook ``module:function`` in a throw-away fork; return the plain data it returns.

    It is given the package's name, and the entries of ``question`` by name. The fork keeps whatever the hook does away
    from the process that workers are made from. Raises DescribeError when the hook raises, dies, or passes a limit.
    """
    with tempfile.TemporaryFile() as crash:
        asked = partial(_asked, hook, package, question or {})
        answer = _ask(asked, package, tree, limits, crash)
        crash.seek(0)
        place = crashes.place(crash.read().decode(errors="replace"), tree)
    if answer is None:
        raise DescribeError(
            f"{package} took longer than {limits.seconds:g} s to describe itself and could not be interrupted; "
            "look for native code that works or waits."
        )
    if not answer:
        path, line = place or (None, None)
        where = f" in {path}, line {line}" if path else ""
        raise DescribeError(
            f"{package} ended the process that described it{where}; look for native code or os._exit.", path, line
        )
    reply = bson.decode(answer)
    if "error" in reply:
        raise DescribeError(reply["error"], reply["path"], reply["line"])
    description: Document = reply["description"]
    return description


def _asked(hook: str, package: str, question: Document) -> Any:
    return pkgutil.resolve_name(hook)(package, **question)


def _ask(asked: Callable[[], Any], package: str, tree: Path, limits: Limits, crash: IO[bytes]) -> bytes | None:
    """What the fork answers: nothing if it dies, None if it is late. Where it dies, it writes to ``crash``."""
    parent = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            hygiene.end_with(parent)  # it has a connection of its parent, whose end others must notice
            os.close(reading)
            with limits.imposed(), os.fdopen(writing, "wb") as pipe:
                pipe.write(_reply(asked, package, tree, crash.fileno()))
        finally:
            os._exit(0)  # whatever happens, a fork must never come back into the code of its parent
    os.close(writing)
    try:
        return _read_until(reading, time.monotonic() + limits.seconds + _MARGIN_SECONDS)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _reply(asked: Callable[[], Any], package: str, tree: Path, crash: int) -> bytes:
    try:
        with crashes.told(crash):
            return bson.encode({"description": asked()})
    except BaseException as error:  # noqa: BLE001 - whatever the lab's code raises is its author's to know
        told = explain(error, tree, f"{package} does not describe itself")
        return bson.encode({"error": str(told), "path": told.path, "line": told.line})


def _read_until(descriptor: int, deadline: float) -> bytes | None:
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(descriptor, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None
