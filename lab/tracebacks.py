"""Tracebacks that people can read: paths relative to the code version they come from, and not endless."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

_LONGEST: Final = 8_000
_FRAMES: Final = 30


def sentence(error: BaseException, tree: Path) -> str:
    """What went wrong in one line, ending with the innermost place inside ``tree``: ``my_lab/tasks/heating.py:42``."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else "it gave no reason"
    place = _place(error, tree)
    return f"{type(error).__name__}: {first}" + (f" ({place})" if place else "")


def relative_traceback(error: BaseException, tree: Path) -> str:
    """The traceback of ``error`` and its causes, with paths relative to ``tree``; the middle of a long one is cut."""
    told = traceback.TracebackException.from_exception(error, limit=-_FRAMES)
    _shorten(told, tree)
    text = "".join(told.format())
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n  [...]\n{text[-half:]}"


def _place(error: BaseException, tree: Path) -> str | None:
    inside = [
        f"{path}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (path := _relative(frame.f_code.co_filename, tree)) != frame.f_code.co_filename
    ]
    return inside[-1] if inside else None


def _shorten(told: traceback.TracebackException | None, tree: Path) -> None:
    if told is None:
        return
    for frame in told.stack:
        frame.line  # noqa: B018 - reads the source line while the path still leads to it
        frame.filename = _relative(frame.filename, tree)
    _shorten(told.__cause__, tree)
    _shorten(told.__context__, tree)


def _relative(filename: str, tree: Path) -> str:
    path = Path(filename)
    return path.relative_to(tree).as_posix() if path.is_relative_to(tree) else filename
