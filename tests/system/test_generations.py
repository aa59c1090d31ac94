from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.database import Database

from hotswap.errors import GenerationMovedError
from hotswap.generations import Generation, Generations, SnapshotState, UnknownGenerationError

pytestmark = pytest.mark.system

A, B, C = "a" * 64, "b" * 64, "c" * 64


class CrashError(Exception):
    """Stands for the end of the process at this point."""


@pytest.fixture
def generations(database: Database[dict[str, Any]]) -> Generations:
    return Generations(database)


def promote(generations: Generations, snapshot: str, expected: int | None, actor: str = "mira") -> Generation:
    return generations.promote(
        snapshot,
        expected=expected,
        commit="c0ffee",
        dirty=False,
        environment="env",
        actor=actor,
        reason="test",
    )


def promote_all(generations: Generations, *snapshots: str) -> None:
    for number, snapshot in enumerate(snapshots):
        promote(generations, snapshot, number or None)


def test_nothing_is_current_before_the_first_promotion(generations: Generations) -> None:
    assert generations.current() is None
    assert generations.history() == []


def test_a_promotion_is_read_back_as_it_was_returned(generations: Generations) -> None:
    first = promote(generations, A, None)
    assert first.number == 1
    assert generations.current() == first == generations.get(1)


def test_history_lists_the_newest_first(generations: Generations) -> None:
    promote_all(generations, A, B, C)
    assert [(one.number, one.snapshot) for one in generations.history()] == [(3, C), (2, B), (1, A)]
    assert [one.number for one in generations.history(limit=2)] == [3, 2]


@pytest.mark.parametrize("expected", [None, 1, 3])
def test_a_promotion_on_a_wrong_expectation_changes_nothing(generations: Generations, expected: int | None) -> None:
    promote_all(generations, A, B)
    before = generations.history(), generations.states.state(C)
    with pytest.raises(GenerationMovedError, match="generation 2 by mira is; look at what changed"):
        promote(generations, C, expected)
    assert (generations.history(), generations.states.state(C)) == before


def test_of_eight_racing_promotions_exactly_one_wins_each_number(generations: Generations) -> None:
    start = threading.Barrier(8)
    winners: list[Generation] = []

    def race(racer: int) -> None:
        for number in range(6):
            start.wait(20)
            try:
                winners.append(promote(generations, f"{racer}{number}" * 32, number or None, f"racer {racer}"))
            except GenerationMovedError:
                continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(race, range(8)))
    assert sorted(winner.number for winner in winners) == [1, 2, 3, 4, 5, 6]
    assert generations.history() == sorted(winners, key=lambda winner: -winner.number)


def test_a_loser_of_a_race_gets_its_former_state_back(generations: Generations) -> None:
    promote_all(generations, A, B)
    stale = generations.current()
    assert stale is not None
    promote(generations, C, 2)
    generations._pointer.read = lambda: stale  # type: ignore[method-assign]
    with pytest.raises(GenerationMovedError):
        promote(generations, A, 2)
    assert generations.states.state(A) is SnapshotState.DRAINING


def test_a_crash_before_the_pointer_moves_leaves_the_old_generation(
    generations: Generations, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_all(generations, A, B)
    crash_at(monkeypatch, generations._pointer, "advance")
    with pytest.raises(CrashError):
        promote(generations, C, 2)
    after = Generations(database)
    assert [one.snapshot for one in after.history()] == [B, A]
    assert after.states.state(B) is SnapshotState.CURRENT
    assert promote(after, C, 2).number == 3
    assert [one.snapshot for one in after.history()] == [C, B, A]


def test_a_crash_after_the_pointer_moved_leaves_the_new_generation_and_true_states(
    generations: Generations, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_all(generations, A, B)
    crash_at(monkeypatch, generations.states, "_succeed")
    with pytest.raises(CrashError):
        promote(generations, C, 2)
    after = Generations(database)
    assert [one.snapshot for one in after.history()] == [C, B, A]
    assert after.states.state(C) is SnapshotState.CURRENT
    assert after.states.state(B) is SnapshotState.DRAINING
    assert after.states.move(B, {SnapshotState.DRAINING}, SnapshotState.CLOSING)


def test_the_number_of_a_generation_is_known_though_what_made_it_current_ended_before_it_said_so(
    generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(generations, A, None)
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_at(patch, generations.states, "_succeed")
        promote(generations, B, 1)
    promote(generations, C, 2)
    record = generations.states.get(B)
    assert record is not None
    assert (record.state, record.facts["generation"]) == (SnapshotState.DRAINING, 2)


def test_rolling_back_makes_a_new_generation_of_the_old_snapshot(generations: Generations) -> None:
    promote_all(generations, A, B)
    back = generations.roll_back(1, expected=2, actor="mira", reason="furnace drifts")
    assert (back.number, back.snapshot, back.rolled_back_to) == (3, A, 1)
    assert [one.snapshot for one in generations.history()] == [A, B, A]
    assert generations.states.state(A) is SnapshotState.CURRENT
    assert generations.states.state(B) is SnapshotState.DRAINING


@pytest.mark.parametrize("number", [0, 3])
def test_an_unknown_generation_is_named(generations: Generations, number: int) -> None:
    promote_all(generations, A, B)
    with pytest.raises(UnknownGenerationError, match=f"no generation {number}; the newest is 2"):
        generations.roll_back(number, expected=2, actor="mira", reason="")


def test_promoting_the_current_snapshot_again_does_not_drain_it(generations: Generations) -> None:
    promote_all(generations, A, A)
    assert generations.states.state(A) is SnapshotState.CURRENT


def test_a_promotion_drains_the_snapshot_before(generations: Generations) -> None:
    promote_all(generations, A, B)
    assert {one.snapshot: one.state for one in generations.states.all()} == {
        A: SnapshotState.DRAINING,
        B: SnapshotState.CURRENT,
    }


def test_a_move_needs_the_state_it_starts_from(generations: Generations) -> None:
    states = generations.states
    states.record(A, SnapshotState.STAGED)
    assert not states.move(A, {SnapshotState.DRAINING}, SnapshotState.CLOSING)
    assert states.move(A, {SnapshotState.STAGED}, SnapshotState.REJECTED, error="my_lab/tasks.py:3: SyntaxError")
    record = states.get(A)
    assert record is not None
    assert record.state is SnapshotState.REJECTED
    assert record.facts == {"error": "my_lab/tasks.py:3: SyntaxError"}
    assert record.since.utcoffset() is not None


def test_the_current_snapshot_cannot_be_moved_away(generations: Generations) -> None:
    promote_all(generations, A)
    everything = set(SnapshotState)
    assert not generations.states.move(A, everything, SnapshotState.CLOSING)
    assert generations.states.state(A) is SnapshotState.CURRENT


def test_a_retirement_fails_when_its_snapshot_is_promoted_meanwhile(generations: Generations) -> None:
    promote_all(generations, A, B)
    assert generations.states.move(A, {SnapshotState.DRAINING}, SnapshotState.CLOSING)
    generations.roll_back(1, expected=2, actor="mira", reason="")
    assert not generations.states.move(A, {SnapshotState.CLOSING}, SnapshotState.DRAINED)
    assert generations.states.state(A) is SnapshotState.CURRENT


def test_of_eight_racing_moves_one_wins(generations: Generations) -> None:
    generations.states.record(A, SnapshotState.DRAINING)
    start = threading.Barrier(8)

    def move(_: int) -> bool:
        start.wait(10)
        return generations.states.move(A, {SnapshotState.DRAINING}, SnapshotState.CLOSING)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(move, range(8))) == 1


def test_a_forgotten_snapshot_is_unknown(generations: Generations) -> None:
    generations.states.record(A, SnapshotState.DRAINED)
    generations.states.forget(A)
    assert generations.states.state(A) is None


def test_filing_the_same_generation_twice_at_once_is_harmless(
    generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_all(generations, A)
    current = generations.current()
    assert current is not None
    replace = Collection.replace_one

    def race(collection: Any, *args: Any, **kwargs: Any) -> Any:
        collection.insert_one({"_id": 1, **current.to_dict()})
        monkeypatch.setattr(Collection, "replace_one", replace)
        return collection.insert_one({"_id": 1, **current.to_dict()})

    monkeypatch.setattr(Collection, "replace_one", race)
    promote(generations, B, 1)
    assert [one.snapshot for one in generations.history()] == [B, A]


def crash_at(monkeypatch: pytest.MonkeyPatch, owner: object, method: str) -> None:
    def crash(*_: object) -> None:
        raise CrashError

    replacement: Callable[..., None] = crash
    monkeypatch.setattr(owner, method, replacement)
