"""What a driver process does again and again, and whose turn it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from lab.drivers._periodic import Job, Periodic
from lab.drivers._turn import Turn

Wake = Callable[[], None]


@pytest.fixture
def periodic() -> Iterator[Periodic]:
    made = Periodic()
    yield made
    made.close()


class Counter:
    """Counts how often it is done; ``wait`` returns when that was so often."""

    def __init__(self) -> None:
        self.times = 0
        self._news = threading.Condition()

    def __call__(self, _wake: Wake) -> bool:
        with self._news:
            self.times += 1
            self._news.notify_all()
        return True

    def wait(self, times: int) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self.times >= times, 10.0)


def test_jobs_of_all_devices_are_done_again_and_again_by_one_thread(periodic: Periodic) -> None:
    first, second = Counter(), Counter()
    before = threading.active_count()
    periodic.begin("a", [Job(0.01, first)])
    periodic.begin("b", [Job(0.01, second)])
    assert first.wait(3) and second.wait(3)
    assert threading.active_count() == before + 1


def test_without_jobs_there_is_no_thread(periodic: Periodic) -> None:
    before = threading.active_count()
    periodic.begin("a", [])
    assert threading.active_count() == before


def test_a_job_that_fails_stops_neither_itself_nor_others(periodic: Periodic) -> None:
    counter = Counter()

    def fail(wake: Wake) -> bool:
        counter(wake)
        raise OSError("cut")

    other = Counter()
    periodic.begin("a", [Job(0.01, fail), Job(0.01, other)])
    assert counter.wait(3) and other.wait(3)


def test_the_jobs_of_a_device_end_with_it(periodic: Periodic) -> None:
    ended, going_on = Counter(), Counter()
    periodic.begin("a", [Job(0.01, ended)])
    periodic.begin("b", [Job(0.01, going_on)])
    assert ended.wait(1)
    periodic.end("a")
    times = going_on.times
    assert going_on.wait(times + 2)  # the one that was being done has ended now
    times, others = ended.times, going_on.times
    assert going_on.wait(others + 3)
    assert ended.times == times


def test_a_busy_device_is_looked_at_when_it_is_free(periodic: Periodic) -> None:
    wakes: list[Wake] = []
    asked, done = threading.Event(), threading.Event()

    def busy_once(wake: Wake) -> bool:
        if wakes:
            done.set()
            return True
        wakes.append(wake)
        asked.set()
        return False

    other = Counter()
    periodic.begin("a", [Job(0.01, busy_once)])
    periodic.begin("b", [Job(0.01, other)])
    assert asked.wait(5.0) and other.wait(5)
    assert not done.is_set()
    wakes[0]()
    assert done.wait(5.0)


def test_a_device_that_becomes_free_at_once_is_not_forgotten(periodic: Periodic) -> None:
    again = threading.Event()

    def free_at_once(wake: Wake) -> bool:
        if again.is_set():
            return True
        again.set()
        wake()
        return False

    counter = Counter()
    periodic.begin("a", [Job(0.01, lambda wake: free_at_once(wake) and counter(wake))])
    assert counter.wait(2)


def test_a_turn_that_nobody_wants_can_be_had() -> None:
    turn = Turn()
    with turn.spare(lambda: None) as ours:
        assert ours
        with turn.spare(lambda: None) as again:
            assert not again


def test_who_does_not_get_the_turn_is_told_when_it_ends() -> None:
    turn, told = Turn(), threading.Event()
    with turn:
        with turn.spare(told.set) as ours:
            assert not ours
        assert not told.is_set()
    assert told.is_set()
    with turn.spare(lambda: None) as ours:
        assert ours


def test_who_waits_comes_before_who_asks_in_passing() -> None:
    turn, entered, leave = Turn(), threading.Event(), threading.Event()

    def call() -> None:
        with turn:
            entered.set()
            assert leave.wait(5.0)

    retries: list[bool] = []

    def look() -> None:
        with turn.spare(lambda: None) as ours:
            retries.append(ours)

    with turn:
        caller = threading.Thread(target=call)
        caller.start()
        while not turn._waiting:
            pass
        with turn.spare(look) as ours:
            assert not ours
    assert entered.wait(5.0)
    leave.set()
    caller.join(5.0)
    assert retries == [False]
