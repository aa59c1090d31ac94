"""A small process that asks generated packages for their answers, each in a fork of its own.

Reads a JSON list ``[folder, class]`` a line, writes the answer as a line of JSON: null if the package does not import.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

LIBRARIES = ("contextlib", "dataclasses", "decimal", "enum", "fractions", "logging", "numbers", "re", "typing")
"""Imported before the forks, so that each need not."""


class Runner:
    """The process, from the side of who asks; it ends with the ``with`` block."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-S", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=10)

    def behaviour(self, folder: Path, class_name: str) -> str | None:
        """All answers of the class, as a version process has it; None if the package cannot be imported."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked
        assert told
        asked.write(json.dumps([str(folder), class_name]) + "\n")
        asked.flush()
        answer = json.loads(told.readline())
        return None if answer is None else str(answer)


def serve() -> None:
    """Answer until nobody asks any more."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            folder, class_name = json.loads(line)
            _answer_and_end(folder, class_name, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read() or b"null"
        os.waitpid(pid, 0)
        sys.stdout.write(answer.decode() + "\n")
        sys.stdout.flush()


def _answer_and_end(folder: str, class_name: str, writing: int) -> None:
    """Nothing of the parent may run in the fork, whatever the package does."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(writing, json.dumps(_answers(folder, class_name)).encode())
    finally:
        os._exit(0)


def _answers(folder: str, class_name: str) -> str:
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    for _ in _import_below("q"):
        pass
    module, _, name = class_name.partition(":")
    thing = getattr(sys.modules[module], name)()
    parts = sorted(name for name in dir(thing) if name.startswith("part"))
    return repr([_told(thing, name) for name in parts])


def _import_below(name: str) -> Iterator[str]:
    """Every module of a package in the order in which a template imports them."""
    module = importlib.import_module(name)
    yield name
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _import_below(f"{name}.{found.name}")


def _told(thing: object, name: str) -> str:
    try:
        return repr(getattr(thing, name)())
    except Exception as problem:  # whatever a construct raises is its answer
        return type(problem).__name__


if __name__ == "__main__":
    serve()
