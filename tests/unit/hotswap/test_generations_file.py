from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hotswap.errors import GenerationMovedError, StoreError
from hotswap.generations import FileGenerations, Generation, UnknownGenerationError, applications

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def generations(tmp_path: Path) -> FileGenerations:
    return FileGenerations(tmp_path / "store", "app")


def promote(generations: FileGenerations, snapshot: str, expected: int | None, actor: str = "mira") -> Generation:
    return generations.promote(
        snapshot, expected=expected, commit="c0ffee", dirty=False, environment="env", actor=actor, reason="test"
    )


def promote_all(generations: FileGenerations, *snapshots: str) -> None:
    for number, snapshot in enumerate(snapshots):
        promote(generations, snapshot, number or None)


def test_nothing_is_current_before_the_first_promotion(generations: FileGenerations) -> None:
    assert (generations.current(), generations.history()) == (None, [])


def test_a_promotion_is_read_back_by_everybody_as_it_was_returned(generations: FileGenerations, tmp_path: Path) -> None:
    first = promote(generations, A, None)
    other = FileGenerations(tmp_path / "store", "app")
    assert first.number == 1
    assert generations.current() == other.current() == other.get(1) == first


def test_a_reader_sees_the_promotions_of_others(generations: FileGenerations, tmp_path: Path) -> None:
    reader = FileGenerations(tmp_path / "store", "app")
    seen = []
    for number, snapshot in enumerate((A, B, C)):
        promote(generations, snapshot, number or None)
        current = reader.current()
        seen.append(current.snapshot if current else None)
    assert seen == [A, B, C]


def test_history_lists_the_newest_first(generations: FileGenerations) -> None:
    promote_all(generations, A, B, C)
    assert [(one.number, one.snapshot) for one in generations.history()] == [(3, C), (2, B), (1, A)]
    assert [one.number for one in generations.history(limit=2)] == [3, 2]


@pytest.mark.parametrize("expected", [None, 1, 3])
def test_a_promotion_on_a_wrong_expectation_changes_nothing(generations: FileGenerations, expected: int | None) -> None:
    promote_all(generations, A, B)
    before = generations.history()
    with pytest.raises(GenerationMovedError, match="generation 2 by mira is; look at what changed"):
        promote(generations, C, expected)
    assert generations.history() == before


def test_of_two_promoters_at_once_one_wins_each_number(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    winners: list[Generation] = []

    def race(racer: int) -> None:
        mine = FileGenerations(tmp_path, "app")
        for number in range(10):
            start.wait(10)
            try:
                winners.append(promote(mine, f"{racer}{number}" * 32, number or None, f"racer {racer}"))
            except GenerationMovedError:
                continue

    racers = [threading.Thread(target=race, args=(racer,)) for racer in range(8)]
    for thread in racers:
        thread.start()
    for thread in racers:
        thread.join()
    assert sorted(one.number for one in winners) == list(range(1, 11))
    assert FileGenerations(tmp_path, "app").history() == sorted(winners, key=lambda one: -one.number)


def test_rolling_back_makes_a_new_generation_that_names_the_old_snapshot(generations: FileGenerations) -> None:
    promote_all(generations, A, B)
    again = generations.roll_back(1, expected=2, actor="noor", reason="B burns samples")
    assert (again.number, again.snapshot, again.rolled_back_to, again.commit) == (3, A, 1, "c0ffee")
    assert generations.current() == again


@pytest.mark.parametrize("number", [0, 3, -1])
def test_an_unknown_generation_is_refused_by_number(generations: FileGenerations, number: int) -> None:
    promote_all(generations, A, B)
    with pytest.raises(UnknownGenerationError, match=f"no generation {number}; the newest is 2"):
        generations.get(number)


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_promotion_that_is_cut_off_leaves_the_old_generation_and_can_be_made_again(
    generations: FileGenerations, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("cut off")

    promote(generations, A, None)
    with monkeypatch.context() as patching:
        patching.setattr(os, step, fail)
        with pytest.raises(OSError, match="cut off"):
            promote(generations, B, 1)
    current = generations.current()
    assert current is not None and current.snapshot == A
    assert promote(generations, B, 1).number == 2


def test_a_store_that_begins_anew_is_noticed(generations: FileGenerations, tmp_path: Path) -> None:
    promote_all(generations, A, B)
    for path in (tmp_path / "store" / "generations" / "app").glob("*.json"):
        path.unlink()
    assert generations.current() is None
    assert promote(generations, C, None).number == 1


def test_a_damaged_generation_says_where_and_what_to_do(generations: FileGenerations, tmp_path: Path) -> None:
    promote_all(generations, A, B)
    path = tmp_path / "store" / "generations" / "app" / "00000001.json"
    path.write_text("{")
    with pytest.raises(StoreError, match=r"Generation 1 in .*00000001\.json cannot be read .* put the file back"):
        generations.get(1)


def test_applications_of_one_store_keep_apart(generations: FileGenerations, tmp_path: Path) -> None:
    promote(generations, A, None)
    other = FileGenerations(tmp_path / "store", "other")
    assert other.current() is None
    promote(other, B, None)
    assert applications(tmp_path / "store") == ["app", "other"]


@pytest.mark.parametrize("app", ["", "../app", "my app", "a/b", "app\n"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, app: str) -> None:
    with pytest.raises(StoreError, match="cannot name an application"):
        FileGenerations(tmp_path, app)
