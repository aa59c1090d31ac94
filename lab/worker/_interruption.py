"""Telling a cancelled task that uses neither the laboratory nor a device: in the middle of its own code, but never in
the middle of clean-up.

Python can raise an exception in another thread, which happens wherever that thread is next. So that is done only while
the thread is, for certain, at a place where it does no harm: in the task's own code, going round a loop, entering a
function, or in ``sleep``, with no clean-up anywhere on its stack. Other code it may be in, such as a library's, is left
alone: it may hold a lock that other tasks need.
"""

from __future__ import annotations

import ast
import ctypes
import dis
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from lab.errors import TaskCancelled
from lab.worker._cancellation import Cancellation

NOTICE_SECONDS: Final = 2.0
"""For so long a task is told only where it uses the laboratory."""

_LOOK_SECONDS: Final = 0.05
_AT_ONCE: Final = 0.5
"""A look has to take less than this share of the interval for which Python lets a thread run undisturbed."""

_OURS: Final = frozenset({"lab.worker._run", "lab.worker._view", "threading"})
_CLEANING: Final = frozenset({"__aexit__", "__del__", "__exit__", "close", "disconnect"})


class Interrupter(threading.Thread):
    """Looks at ``target``, a task's thread that runs code below ``tree``, until it was told or is ``over``."""

    def __init__(self, target: threading.Thread, tree: Path, cancellation: Cancellation, over: threading.Event) -> None:
        super().__init__(name=f"interrupt-{target.name}", daemon=True)
        self._target = target
        self._tree = tree
        self._cancellation = cancellation
        self._over = over

    def run(self) -> None:
        pause = NOTICE_SECONDS
        while not self._over.wait(pause) and self._cancellation.due and not self._cancellation.taken:
            self._cancellation.tell(self._raise_there)
            pause = _LOOK_SECONDS

    def _raise_there(self) -> bool:
        """Raise TaskCancelled in the thread if it is at a harmless place; whether it was."""
        if self._over.is_set() or self._target.ident is None:
            return False
        return raise_in(self._target.ident, self._tree)


def raise_in(thread: int, tree: Path) -> bool:
    """Raise TaskCancelled in a thread that runs code below ``tree``, if it is at a harmless place; whether it was.

    Between the look and the raise no other thread runs: whoever has just got the interpreter keeps it for the switch
    interval, and a look that took too long for that counts for nothing.
    """
    frame: FrameType | None = sys._current_frames().get(thread)
    if frame is None or not _is_harmless(frame, thread, tree):  # reads and keeps what is needed of the source
        return False
    time.sleep(0)  # gives the interpreter away, so that the interval begins anew
    began = time.perf_counter()
    frame = sys._current_frames().get(thread)
    if frame is None or not _is_harmless(frame, thread, tree):
        return False
    if time.perf_counter() - began > sys.getswitchinterval() * _AT_ONCE:
        return False
    return bool(ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TaskCancelled)))


def _is_harmless(top: FrameType, thread: int, tree: Path) -> bool:
    if _handles_exception(thread) or not _is_below(top.f_code, tree) or not _is_interruptible(top):
        return False
    frame: FrameType | None = top
    while frame is not None:
        if _is_below(frame.f_code, tree):
            if _cleans_up(frame):
                return False
        elif frame.f_globals.get("__name__") not in _OURS:
            return False
        frame = frame.f_back
    return True


def _handles_exception(thread: int) -> bool:
    """Whether the thread is in an ``except`` block, or in clean-up that an exception runs on its way."""
    found: Any = sys._current_exceptions().get(thread)
    return found not in (None, (None, None, None))


def _is_below(code: CodeType, tree: Path) -> bool:
    return code.co_filename.startswith(f"{tree}/")


def _is_interruptible(frame: FrameType) -> bool:
    """Whether an exception raised now is raised at this very instruction: elsewhere the next one may be in clean-up."""
    name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    if name == "RESUME" or ("BACKWARD" in name and "NO_INTERRUPT" not in name):
        return True
    return name.startswith("CALL") and _position(frame) in _source(frame.f_code.co_filename).sleeps


def _cleans_up(frame: FrameType) -> bool:
    line = frame.f_lineno
    return frame.f_code.co_name in _CLEANING or line is None or line in _source(frame.f_code.co_filename).cleaning


def _position(frame: FrameType) -> tuple[int | None, ...]:
    """Where the expression stands that the frame is at."""
    for number, position in enumerate(frame.f_code.co_positions()):
        if number * 2 == frame.f_lasti:
            return position
    return ()


class _Source:
    """``cleaning``: the lines of clean-up; ``sleeps``: the positions of calls of something called sleep."""

    def __init__(self, text: str) -> None:
        self.cleaning: set[int] = set()
        self.sleeps: set[tuple[int | None, ...]] = set()
        for node in ast.walk(ast.parse(text)):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Try | ast.TryStar):
            for handler in node.handlers:
                self.cleaning.update(_lines(handler))
            for statement in node.finalbody:
                self.cleaning.update(_lines(statement))
        elif isinstance(node, ast.With | ast.AsyncWith):
            # Its first lines are gone through again when it ends.
            self.cleaning.update(range(node.lineno, max(node.lineno + 1, node.body[0].lineno)))
        elif isinstance(node, ast.Call) and _name(node.func) == "sleep":
            self.sleeps.add((node.lineno, node.end_lineno, node.col_offset, node.end_col_offset))


@lru_cache(maxsize=256)
def _source(file: str) -> _Source:
    """Of a file of a code version, which never changes."""
    return _Source(Path(file).read_text(encoding="utf-8"))


def _lines(node: ast.ExceptHandler | ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
