from __future__ import annotations

import threading
import time

import pytest

from lab.errors import TaskCancelled
from lab.worker._cancellation import Cancellation, cleaning_up


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
            requested.check_after_call(cleaning_up=cleaning_up())
        requested.check_after_call(cleaning_up=cleaning_up())


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


def test_what_was_taken_away_is_refused_again_and_again(requested: Cancellation) -> None:
    requested.take_away("It was taken.")
    for _ in range(2):
        with pytest.raises(TaskCancelled, match="It was taken"):
            requested.check()
    with pytest.raises(TaskCancelled):
        requested.check_after_call(cleaning_up=True)


def test_taking_away_ends_a_sleep_of_clean_up(requested: Cancellation) -> None:
    with pytest.raises(TaskCancelled):
        requested.check()
    threading.Timer(0.05, requested.take_away, ("It was taken.",)).start()
    began = time.monotonic()
    with pytest.raises(TaskCancelled, match="It was taken"):
        requested.sleep(30.0)
    assert time.monotonic() - began < 5.0


def test_taking_away_cuts_off_what_is_waited_for_and_wakes_who_waits(requested: Cancellation) -> None:
    woken, cut = threading.Event(), threading.Event()
    with requested.waking(woken), requested.cutting(cut.set):
        woken.clear()
        requested.take_away("It was taken.")
        assert cut.is_set()
        assert woken.is_set()


def test_nothing_is_begun_after_taking_away() -> None:
    cancellation = Cancellation()
    cancellation.take_away("It was taken.")
    with pytest.raises(TaskCancelled), cancellation.cutting(lambda: None):
        pytest.fail("it was begun")


def test_a_task_is_told_in_one_way_only(requested: Cancellation) -> None:
    requested.tell(lambda: False)
    assert requested.due
    requested.tell(lambda: True)
    assert not requested.due
    requested.check()
    requested.tell(lambda: pytest.fail("it was told twice"))
