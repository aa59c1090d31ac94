"""What becomes current is what was meant to, whatever happens between a refresh and its promotion."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect
from refreshes import Participant, refresh_manager, restarted

from hotswap.cutover import NotCutOverError, Outcome, Refresh
from hotswap.errors import HotswapError
from hotswap.generations import Generation, Generations
from lab.managers.refresh import RefreshManager
from lab.records import Records

pytestmark = pytest.mark.system


class Waiting:
    """A barrier that is entered when it is told to, or when a newer refresh takes its place."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.quiet = threading.Event()
        self.ways: list[str] = []

    @contextmanager
    def around(self, refresh: Refresh, snapshot: str, superseded: Any) -> Iterator[None]:
        self.ways.append(f"{refresh.rev} {refresh.facts['cutover']}")
        self.begun.set()
        while not self.quiet.wait(0.01):
            if superseded():
                raise NotCutOverError("A newer refresh took its place.", Outcome.SUPERSEDED)
        yield

    def halt(self) -> None:
        self.quiet.set()


@pytest.fixture
def participant() -> Participant:
    return Participant()


@pytest.fixture
def barrier() -> Waiting:
    return Waiting()


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database)


@pytest.fixture
def manager(tmp_path: Path, records: Records, participant: Participant, barrier: Waiting) -> Iterator[RefreshManager]:
    """One whose first generation is live; each further cutover waits."""
    manager = refresh_manager(tmp_path, records, participant, barrier=barrier)
    barrier.quiet.set()
    manager.start()
    barrier.quiet.clear()
    barrier.begun.clear()
    barrier.ways.clear()
    yield manager
    manager.stop()


def current(records: Records) -> Generation:
    found = Generations(records.database).current()
    assert found is not None
    return found


def lose_the_answer(participant: Participant, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> list[int]:
    """Have the database break off when the generation is current; returns which generations were told of at last."""
    told: list[int] = []
    left = [times]

    def promoted(generation: Generation) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise AutoReconnect("restarting")
        told.append(generation.number)

    monkeypatch.setattr(participant, "promoted", promoted)
    return told


@pytest.mark.parametrize("times", [1, 2])
def test_code_that_became_current_without_an_answer_is_told_as_live(
    manager: RefreshManager,
    records: Records,
    participant: Participant,
    barrier: Waiting,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    barrier.quiet.set()
    told = lose_the_answer(participant, monkeypatch, times)
    live = manager.request("next", "ada", "test")
    assert (live["outcome"], live["generation"], told) == (Outcome.LIVE, 2, [2])
    kept = records.refreshes.find_one({"rev": "next"})
    assert kept is not None
    assert (kept["outcome"], kept["generation"], kept.get("error")) == (Outcome.LIVE, 2, None)
    assert records.events.find_one({"kind": "refresh.failed"}) is None


def test_a_commit_that_became_current_without_an_answer_is_not_taken_a_second_time(
    manager: RefreshManager,
    records: Records,
    participant: Participant,
    barrier: Waiting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier.quiet.set()
    told = lose_the_answer(participant, monkeypatch)
    with records.refreshes.watch(full_document="updateLookup", max_await_time_ms=500) as changes:
        manager._on_commit("next")
        while (change := changes.try_next()) is None or change["fullDocument"]["outcome"] is None:
            pass
    kept = change["fullDocument"]
    assert (kept["outcome"], kept["generation"], told) == (Outcome.LIVE, 2, [2])
    assert "promoted" in [step["step"] for step in kept["steps"]]
    assert participant.described.count("next") == 1


def test_a_roll_back_that_took_effect_without_an_answer_is_told_as_live(
    manager: RefreshManager, participant: Participant, barrier: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier.quiet.set()
    manager.request("next", "ada", "test")
    told = lose_the_answer(participant, monkeypatch)
    back = manager.roll_back(1, "ada")
    assert (back["outcome"], back["generation"], told) == (Outcome.LIVE, 3, [3])


def test_a_generation_that_came_while_a_roll_back_waited_is_not_rolled_back(
    manager: RefreshManager, records: Records, barrier: Waiting
) -> None:
    with ThreadPoolExecutor() as pool:
        back = pool.submit(manager.roll_back, 1, "lab", current=1)
        assert barrier.begun.wait(10)
        Generations(records.database).promote(
            "f" * 64, expected=1, commit="mended", dirty=False, environment="", actor="a", reason="r"
        )
        barrier.quiet.set()
        with pytest.raises(HotswapError, match="Generation 1 is not current any more"):
            back.result(10)
    assert current(records).commit == "mended"


def test_a_plan_leaves_alone_what_waits_to_become_current(
    manager: RefreshManager, participant: Participant, barrier: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    dismissed: list[str] = []
    monkeypatch.setattr(participant, "dismiss", dismissed.append)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(manager.request, "next", "ada", "test")
        assert barrier.begun.wait(10)
        manager.plan("next")
        manager.plan("other")
        barrier.quiet.set()
        assert waiting.result(10)["outcome"] == Outcome.LIVE
    assert dismissed == [participant.freeze("other").id]


def test_a_commit_that_takes_the_place_of_a_barrier_goes_live_by_one_and_what_a_person_asks_for_as_they_say(
    manager: RefreshManager, records: Records, barrier: Waiting
) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(manager.request, "first", "ada", "test", barrier=True)
        assert barrier.begun.wait(10)
        barrier.begun.clear()
        manager._on_commit("second")
        assert first.result(10)["outcome"] == Outcome.SUPERSEDED
        assert barrier.begun.wait(10)
        barrier.begun.clear()
        third = pool.submit(manager.request, "third", "ada", "test", barrier=False)
        assert barrier.begun.wait(10)
        barrier.quiet.set()
        assert third.result(10)["outcome"] == Outcome.LIVE
    assert barrier.ways == ["first barrier", "second barrier", "third rolling"]
    kept = records.refreshes.find_one({"rev": "second"})
    assert kept is not None
    assert (kept["cutover"], kept["outcome"]) == ("barrier", Outcome.SUPERSEDED)


def test_a_roll_back_is_newer_than_the_refreshes_that_it_finds(
    manager: RefreshManager, records: Records, participant: Participant, barrier: Waiting
) -> None:
    barrier.quiet.set()
    manager.request("next", "ada", "test")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(manager.request, "slow", "ada", "test")
        assert participant.describing.wait(10)
        manager._on_commit("older")
        back = pool.submit(manager.roll_back, 1, "ada")
        while not manager._going_back:
            pass
        participant.gate.set()
        assert running.result(10)["outcome"] == Outcome.SUPERSEDED
        assert back.result(10)["generation"] == 3
    assert "older" not in participant.described
    assert records.refreshes.find_one({"rev": "older", "outcome": Outcome.SUPERSEDED}) is not None


def test_what_somebody_left_for_other_code_does_not_come_back_with_a_restart(
    tmp_path: Path, manager: RefreshManager, records: Records, participant: Participant, barrier: Waiting
) -> None:
    barrier.quiet.set()
    hotfix = manager.request("hotfix", "ada", "test")["generation"]
    assert restarted(tmp_path, manager, records, participant) == hotfix


@pytest.mark.parametrize("what", ["a typing error", "another environment"])
def test_what_was_rolled_back_does_not_come_back_with_a_restart_after(
    tmp_path: Path, manager: RefreshManager, records: Records, participant: Participant, barrier: Waiting, what: str
) -> None:
    barrier.quiet.set()
    manager.request("good", "ada", "test")
    head = manager.request(None, "ada", "test")
    rolled_back = manager.roll_back(2, "ada")["generation"]
    if what == "a typing error":
        participant.failure = HotswapError("There is no revision 'typo'.")
        assert manager.request("typo", "ada", "test")["outcome"] == Outcome.REJECTED
        participant.failure = None
        assert restarted(tmp_path, manager, records, participant) == rolled_back
    else:
        participant.other_environment = True
        assert restarted(tmp_path, manager, records, participant) == rolled_back + 1
        assert current(records).commit == f"version:{participant.freeze('good').id}"
    assert current(records).snapshot != head["snapshot"]
