"""When a version process that nobody wants ends."""

from __future__ import annotations

import threading

from hotswap.process.context import _Countdown


def test_one_that_is_wanted_while_it_is_asked_whether_it_is_idle_does_not_end() -> None:
    ended, asked = threading.Event(), threading.Event()

    def idle() -> bool:
        countdown.connections_changed(1)
        asked.set()
        return True

    countdown = _Countdown(0, idle, ended.set)
    countdown.connections_changed(0)
    assert asked.wait(10)
    _let_timers_end()
    assert not ended.is_set()


def test_one_that_is_wanted_while_it_is_busy_is_not_asked_again() -> None:
    asked: list[bool] = []

    def idle() -> bool:
        asked.append(True)
        countdown.connections_changed(1)
        return len(asked) > 1

    ended = threading.Event()
    countdown = _Countdown(0, idle, ended.set)
    countdown.connections_changed(0)
    _let_timers_end()
    assert (asked, ended.is_set()) == ([True], False)


def test_one_that_was_busy_is_asked_until_it_is_idle() -> None:
    answers, ended = [False, False, True], threading.Event()
    countdown = _Countdown(0, lambda: answers.pop(0), ended.set)
    countdown.connections_changed(0)
    assert ended.wait(10)
    assert answers == []


def _let_timers_end() -> None:
    """Those that are started meanwhile, too."""
    while timers := [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]:
        for timer in timers:
            timer.join(10)
