"""Where in the lab's source something stands."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hotswap.errors import DescribeError

_OWN_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Location:
    """A line of a file; ``path`` is relative to the folder it is imported from, ``line`` counts from 1."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def caller() -> Location:
    """Return the nearest line on the stack that is not in this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN_PACKAGE):
        frame = frame.f_back
    return _location(frame, frame.f_lineno)


def raised_at(error: BaseException, package: str) -> Location | None:
    """Return the innermost line of ``package`` in the traceback of ``error``, or None if it has none."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if module == package or module.startswith(f"{package}."):
            found = _location(frame, line)
    return found


def defined_at(function: Callable[..., object]) -> Location | None:
    """Return where a function begins, or None for one that no file of a package defines."""
    original: Any = inspect.unwrap(function)
    code = getattr(original, "__code__", None)
    if code is None:
        return None
    path = _relative(code.co_filename, original.__globals__)
    return None if path is None else Location(path, code.co_firstlineno)


def _location(frame: FrameType, line: int) -> Location:
    file = frame.f_code.co_filename
    return Location(_relative(file, frame.f_globals) or file, line)


def _relative(file: str, names: Mapping[str, Any]) -> str | None:
    """The path of a file from the folder that the package with these globals is in; None if it is elsewhere."""
    package = sys.modules.get(names.get("__name__", "").partition(".")[0])
    root = Path(getattr(package, "__file__", None) or file).parent.parent
    return Path(file).relative_to(root).as_posix() if Path(file).is_relative_to(root) else None


def blame(where: Location, sentence: str) -> DescribeError:
    """The error that says what is wrong at a line."""
    return DescribeError(f"{where}: {sentence}", where.path, where.line)
