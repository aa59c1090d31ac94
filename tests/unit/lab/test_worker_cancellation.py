from __future__ import annotations

import threading
import time

import pytest

from lab.errors import TaskCancelled
from lab.worker._cancellation import Cancellation


@pytest.fixture
def requested() -> Cancellation:
    cancellation = Cancellation()
    cancellation.request("Cancelled by ada.")
    return cancellation


def test_nothing_happens_before_a_request() -> None:
    cancellation = Cancellation()
    cancellation.check()
    cancellation.sleep(0.0)


def test_it_is_raised_with_its_reason(requested: Cancellation) -> None:
    with pytest.raises(TaskCancelled, match=r"Cancelled by ada\."):
        requested.check()


def test_it_is_raised_once_so_that_clean_up_is_not_cut_off(requested: Cancellation) -> None:
    with pytest.raises(TaskCancelled):
        requested.check()
    requested.check()
    requested.sleep(0.0)


def test_clean_up_after_an_error_is_not_cut_off(requested: Cancellation) -> None:
    with pytest.raises(TaskCancelled):
        try:
            raise ValueError
        except ValueError:
            requested.check_after_call()
        requested.check_after_call()


def test_tasks_that_catch_all_exceptions_are_cancelled_nevertheless(requested: Cancellation) -> None:
    def task() -> None:
        try:
            requested.check()
        except Exception:
            return

    with pytest.raises(TaskCancelled):
        task()


def test_sleep_ends_with_the_request() -> None:
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.request, ("now",)).start()
    began = time.monotonic()
    with pytest.raises(TaskCancelled, match="now"):
        cancellation.sleep(30.0)
    assert time.monotonic() - began < 5.0


def test_a_request_wakes_those_who_wait_for_something_else() -> None:
    cancellation, event = Cancellation(), threading.Event()
    with cancellation.waking(event):
        cancellation.request("now")
    assert event.is_set()


def test_nobody_is_woken_after_leaving_the_block() -> None:
    cancellation, event = Cancellation(), threading.Event()
    with cancellation.waking(event):
        pass
    cancellation.request("now")
    assert not event.is_set()
