"""A thread in a task's own code is told where it does no harm, and nowhere else."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lab.worker import _interruption
from lab.worker._cancellation import Cancellation
from lab.worker._interruption import Interrupter, raise_in

CODE = """
import contextlib
import time
from lab.errors import TaskCancelled

go_on = [True]
released = []
told = []
notes = []


def guarded(body):
    try:
        body()
        told.append("ended")
    except TaskCancelled:
        told.append("cancelled")


def looping():
    n = 0
    while go_on:
        n += 1


def calling():
    while go_on:
        nothing()


def nothing():
    return None


def generating():
    def numbers():
        while go_on:
            yield 1

    for _ in numbers():
        pass


def sleeping():
    while go_on:
        time.sleep(0.001)


def tidying_up():
    try:
        notes.append("body")
    finally:
        while not released and go_on:
            pass
        notes.append("clean")
    looping()


def handling():
    try:
        raise ValueError
    except ValueError:
        while not released and go_on:
            pass
        notes.append("clean")
    looping()


def tidying_up_in_a_helper():
    try:
        notes.append("body")
    finally:
        wait_for_release()
        notes.append("clean")
    looping()


def wait_for_release():
    while not released and go_on:
        pass


class Held:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        while not released and go_on:
            pass
        notes.append("clean")


def leaving():
    with Held():
        notes.append("body")
    looping()


@contextlib.contextmanager
def held():
    yield
    while not released and go_on:
        pass
    notes.append("clean")


def leaving_a_generator():
    with held():
        notes.append("body")
    looping()
"""

ENDLESS = ("looping", "calling", "generating", "sleeping")
CLEANING = ("tidying_up", "handling", "tidying_up_in_a_helper", "leaving", "leaving_a_generator")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "code_of_a_task.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("code_of_a_task")
    yield module
    module.go_on.clear()
    del sys.modules["code_of_a_task"]


def started(code: ModuleType, name: str) -> threading.Thread:
    thread = threading.Thread(target=code.guarded, args=(getattr(code, name),), daemon=True)
    thread.start()
    return thread


def told(thread: threading.Thread, tree: Path, seconds: float = 10.0) -> bool:
    """Try again and again, as a task that is cancelled has to be told soon."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert thread.ident is not None
        if raise_in(thread.ident, tree):
            return True
    return False


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_code_is_told(code: ModuleType, tmp_path: Path, name: str) -> None:
    thread = started(code, name)
    assert told(thread, tmp_path)
    thread.join(10.0)
    assert code.told == ["cancelled"]


@pytest.mark.parametrize("name", CLEANING)
def test_clean_up_is_not_interrupted(code: ModuleType, tmp_path: Path, name: str) -> None:
    thread = started(code, name)
    assert not told(thread, tmp_path, seconds=0.5)
    code.released.append(True)
    assert told(thread, tmp_path)
    thread.join(10.0)
    assert code.told == ["cancelled"]
    assert code.notes[-1] == "clean"


def test_code_of_others_is_left_alone(code: ModuleType, tmp_path: Path) -> None:
    thread = started(code, "looping")
    elsewhere = tmp_path / "elsewhere"
    assert not told(thread, elsewhere, seconds=0.3)


def test_a_thread_that_has_ended_is_not_told(tmp_path: Path) -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert thread.ident is not None
    assert not raise_in(thread.ident, tmp_path)


def test_a_cancelled_task_is_told_after_the_notice(
    code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_interruption, "NOTICE_SECONDS", 0.01)
    cancellation = Cancellation()
    thread = started(code, "looping")
    cancellation.request("It was cancelled.")
    interrupter = Interrupter(thread, tmp_path, cancellation, threading.Event())
    interrupter.start()
    thread.join(10.0)
    interrupter.join(10.0)
    assert code.told == ["cancelled"]
    assert not cancellation.due


def test_a_task_that_was_told_already_is_not_told_again(
    code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_interruption, "NOTICE_SECONDS", 0.0)
    cancellation = Cancellation()
    cancellation.request("It was cancelled.")
    with pytest.raises(BaseException, match="It was cancelled"):
        cancellation.check()
    thread = started(code, "looping")
    interrupter = Interrupter(thread, tmp_path, cancellation, threading.Event())
    interrupter.start()
    interrupter.join(10.0)
    assert thread.is_alive()
    code.go_on.clear()
    thread.join(10.0)
    assert code.told == ["ended"]
