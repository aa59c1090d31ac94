from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest
from pymongo.errors import AutoReconnect

from lab.managers.bus import Manager


class Noted(Manager):
    """Notes each run, and does what it is told in it."""

    def __init__(self, *outcomes: float | Exception | None) -> None:
        super().__init__("noted manager")
        self.outcomes = list(outcomes)
        self.runs: queue.Queue[int] = queue.Queue()

    def reconcile(self) -> float | None:
        self.runs.put(1)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def managers() -> Iterator[list[Noted]]:
    made: list[Noted] = []
    yield made
    for manager in made:
        manager.stop()


def start(managers: list[Noted], *outcomes: float | Exception | None) -> Noted:
    manager = Noted(*outcomes)
    managers.append(manager)
    manager.start()
    manager.runs.get(timeout=10)
    return manager


def test_a_manager_runs_at_its_start_and_when_woken(managers: list[Noted]) -> None:
    manager = start(managers)
    assert manager.runs.empty()
    manager.wake()
    manager.runs.get(timeout=10)


def test_a_manager_runs_again_when_it_asked_to(managers: list[Noted]) -> None:
    manager = start(managers, 0.01, 0.01)
    for _ in range(2):
        manager.runs.get(timeout=10)


def test_a_manager_that_raised_runs_again(managers: list[Noted], caplog: pytest.LogCaptureFixture) -> None:
    manager = start(managers, ValueError("not yet"), ValueError("not yet"))
    for _ in range(2):
        manager.runs.get(timeout=10)
    assert "could not reconcile" in caplog.text


class Collector(Noted):
    """Deals with a, b and c in each run; ``outcomes`` are what becomes of b, in turn."""

    def reconcile(self) -> float | None:
        self.dealt_with = self._each([{"_id": "a"}, {"_id": "b"}, {"_id": "c"}], self._deal_with)
        self.runs.put(1)
        return None

    def _deal_with(self, document: dict[str, str]) -> str:
        if document["_id"] == "b" and self.outcomes:
            raise self.outcomes.pop(0)  # type: ignore[misc]  # only errors are given here
        return document["_id"]


def test_a_document_that_fails_is_named_and_keeps_no_other_from_its_turn(caplog: pytest.LogCaptureFixture) -> None:
    manager = Collector(ValueError("not yet"))
    manager.reconcile()
    assert manager.dealt_with == ["a", "c"]
    assert "The noted manager could not deal with b; it tries again." in caplog.text
    assert "not yet" in caplog.text


def test_a_document_that_failed_has_another_turn_without_an_event(managers: list[Noted]) -> None:
    manager = Collector(ValueError("not yet"), ValueError("not yet"))
    managers.append(manager)
    manager.start()
    for _ in range(3):
        manager.runs.get(timeout=10)
    assert manager.dealt_with == ["a", "b", "c"]


def test_without_a_database_the_others_are_not_tried_in_vain() -> None:
    manager = Collector(AutoReconnect("gone"))
    with pytest.raises(AutoReconnect):
        manager.reconcile()


def test_a_manager_that_was_never_started_can_be_stopped() -> None:
    Noted().stop()
