"""Where in the lab's source something stands."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

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


def _location(frame: FrameType, line: int) -> Location:
    path = Path(frame.f_code.co_filename)
    package = sys.modules.get(frame.f_globals.get("__name__", "").partition(".")[0])
    root = Path(getattr(package, "__file__", None) or path).parent.parent
    return Location(path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path), line)
