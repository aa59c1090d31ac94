"""Under a limit of memory, starts wait their turn, say what they wait for, and nothing is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fleets import ENTRY, Freeze, StartFleet, ask

from hotswap.errors import ProcessError
from hotswap.fleet import Fleet, Started, Wanted

pytestmark = pytest.mark.system

LARGE = {"mb": 150}
LIMIT_MB = 300  # one large process, its template and the zygote fit, and a second large one does not


class Waiter:
    """Ensures a process on a thread of its own."""

    def __init__(self, fleet: Fleet, name: str, snapshot: str) -> None:
        self.found: Started | None = None
        self.error: ProcessError | None = None
        self._arguments = fleet, name, snapshot
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        fleet, name, snapshot = self._arguments
        try:
            self.found = fleet.ensure(name, snapshot, ENTRY, LARGE)
        except ProcessError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def _queued(fleet: Fleet) -> list[dict[str, Any]]:
    return [each for each in fleet.processes() if each["state"] == "queued"]


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@pytest.fixture
def full(start_fleet: StartFleet, freeze: Freeze) -> tuple[Fleet, str]:
    """A fleet with one large process and no room for a second, and the snapshot."""
    snapshot = freeze(1)
    fleet = start_fleet(memory_mb=LIMIT_MB)
    fleet.ensure("large", snapshot, ENTRY, LARGE)
    return fleet, snapshot


def test_a_start_waits_for_memory_and_goes_on_when_something_ended(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    waiter = Waiter(fleet, "second", snapshot)
    _wait_for(lambda: _queued(fleet))
    assert waiter.found is None
    fleet.stop("large", grace=10)
    waiter.join()
    assert waiter.found is not None
    assert waiter.found.identity.alive()
    assert _queued(fleet) == []


def test_what_waits_is_told_with_what_it_needs_and_who_uses_the_memory(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    waiter = Waiter(fleet, "second", snapshot)
    _wait_for(lambda: _queued(fleet))
    (queued,) = _queued(fleet)
    assert (queued["name"], queued["snapshot"], queued["alive"], queued["pid"]) == ("second", snapshot, False, None)
    assert f"of {LIMIT_MB} MB are used (large 1" in queued["why"]
    fleet.stop("second", grace=10)
    waiter.join()


def test_who_does_not_want_to_wait_is_told_what_would_free_memory(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    with pytest.raises(ProcessError, match=r"second was not started in time: .*large \d+ MB.*; end work on a version"):
        fleet.ensure("second", snapshot, ENTRY, LARGE, timeout=0.1)


def test_nothing_is_killed_for_memory(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    before = {each["instance"] for each in fleet.processes()}
    with pytest.raises(ProcessError, match="not started in time"):
        fleet.ensure("second", snapshot, ENTRY, LARGE, timeout=0.1)
    assert {each["instance"] for each in fleet.processes() if each["alive"]} == before


def test_stopping_what_waits_ends_the_wait(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    waiter = Waiter(fleet, "second", snapshot)
    _wait_for(lambda: _queued(fleet))
    fleet.stop("second", grace=10)
    waiter.join()
    assert "second was stopped while it waited" in str(waiter.error)


def test_closing_the_fleet_ends_the_wait(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    waiter = Waiter(fleet, "second", snapshot)
    _wait_for(lambda: _queued(fleet))
    fleet.close(end=True)
    waiter.join()
    assert waiter.error is not None


def test_starts_take_turns_in_the_order_in_which_they_came(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    second = Waiter(fleet, "second", snapshot)
    _wait_for(lambda: len(_queued(fleet)) == 1)
    third = Waiter(fleet, "third", snapshot)
    _wait_for(lambda: len(_queued(fleet)) == 2)
    assert _queued(fleet)[1]["why"] == "it waits behind second, which waits for memory"
    fleet.stop("large", grace=10)
    second.join()
    assert third.found is None
    fleet.stop("second", grace=10)
    third.join()
    assert third.found is not None


def test_the_fleet_is_reconciled_though_one_of_the_wanted_has_to_wait(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    large, second, third = (Wanted(name, snapshot, ENTRY, LARGE) for name in ("large", "second", "third"))
    assert set(fleet.reconcile([large, second, third])) == {"large"}
    assert {each["name"] for each in _queued(fleet)} == {"second", "third"}
    assert set(fleet.reconcile([large, second, third])) == {"large"}
    assert len(_queued(fleet)) == 2
    fleet.reconcile([third])
    _wait_for(lambda: set(fleet.reconcile([third])) == {"third"})


def test_what_waits_and_is_no_longer_wanted_is_not_started(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    large, second = (Wanted(name, snapshot, ENTRY, LARGE) for name in ("large", "second"))
    fleet.reconcile([large, second])
    fleet.reconcile([large])
    _wait_for(lambda: not _queued(fleet))
    assert [each["name"] for each in fleet.processes() if each["kind"] == "process"] == ["large"]


def test_a_new_version_for_which_there_is_no_room_beside_the_old_one_takes_its_place(
    full: tuple[Fleet, str], freeze: Freeze
) -> None:
    fleet, _ = full
    wanted = [Wanted("large", freeze(2), ENTRY, LARGE)]
    fleet.reconcile(wanted)
    _wait_for(lambda: set(fleet.reconcile(wanted)) == {"large"})
    assert ask(fleet.reconcile(wanted)["large"], "version") == 2


def test_what_runs_is_found_also_when_memory_is_scarce(full: tuple[Fleet, str]) -> None:
    fleet, snapshot = full
    assert fleet.ensure("large", snapshot, ENTRY, LARGE, timeout=0).identity.alive()


def test_what_can_never_fit_is_refused_at_once(start_fleet: StartFleet, freeze: Freeze) -> None:
    with pytest.raises(ProcessError, match=r"one cannot be started: it needs about \d+ MB .* of 20 MB"):
        start_fleet(memory_mb=20).ensure("one", freeze(1), ENTRY, {})


def test_what_is_started_again_does_not_wait_behind_what_is_new(start_fleet: StartFleet, freeze: Freeze) -> None:
    fleet, snapshot = start_fleet(memory_mb=LIMIT_MB), freeze(1)
    small = fleet.ensure("small", snapshot, ENTRY, {})
    fleet.ensure("large", snapshot, ENTRY, LARGE)
    waiter = Waiter(fleet, "second", snapshot)
    _wait_for(lambda: _queued(fleet))
    small.identity.kill()
    _wait_for(lambda: [each for each in fleet.processes() if each["name"] == "small" and each["state"] == "running"])
    fleet.stop("second", grace=1)
    waiter.join()


def test_what_a_version_imports_is_counted_before_its_like_is_imported(start_fleet: StartFleet, freeze: Freeze) -> None:
    first, second = (freeze(number, ballast=f"DATA = bytearray(120 << 20)\nNUMBER = {number}\n") for number in (1, 2))
    fleet = start_fleet(memory_mb=230)
    fleet.ensure("first", first, ENTRY, {})
    with pytest.raises(ProcessError, match="it needs about 1"):
        fleet.ensure("second", second, ENTRY, {}, timeout=0)
