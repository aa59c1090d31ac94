"""Where in the lab's source something stands."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

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
    return Location(_relative(frame.f_code.co_filename), frame.f_lineno)


def raised_at(error: BaseException, package: str) -> Location | None:
    """Return the innermost line of ``package`` in the traceback of ``error``, or None if it has none."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if module == package or module.startswith(f"{package}."):
            found = Location(_relative(frame.f_code.co_filename), line)
    return found


def _relative(filename: str) -> str:
    path = Path(filename)
    roots = [Path(entry) for entry in sys.path if entry]
    inside = [root for root in roots if path.is_relative_to(root)]
    if not inside:
        return filename
    return path.relative_to(max(inside, key=lambda root: len(root.parts))).as_posix()
