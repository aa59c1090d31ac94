"""The demo notices each figure of its table that is wrong, and times that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.demo.claims import StoryError, claim, wait_for
from lab.demo.expectations import CodeVersions, Expectations
from lab.demo.facts import TaskFacts
from lab.demo.repository import Commit
from lab.demo.stage import experiment_of
from lab.demo.timing import Timing, timing_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Versions(CodeVersions):
    """Code versions that are told from their commits by sight."""

    def __init__(self) -> None:
        pass

    def of(self, commit: str) -> str:
        return f"code of {commit}"


@pytest.fixture
def expected() -> Expectations:
    expected = Expectations(Versions())
    expected.live("a1")
    expected.connected(["furnace", "arm"])
    expected.task("t1", "long heating", "Heating", programs=1)
    return expected


def faults(expected: Expectations, **found: Any) -> list[str]:
    tables = {"tasks": expected.tasks, "devices": expected.devices, "generations": expected.generations}
    return expected.faults(**{**tables, **found})


def test_nothing_is_wrong_when_all_figures_are_as_expected(expected: Expectations) -> None:
    assert faults(expected) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "ERROR"),
        ("generation", 2),
        ("commit", "b2"),
        ("version", "other"),
        ("attempts", ("LOST", "COMPLETED")),
        ("programs", 2),
    ],
)
def test_a_wrong_figure_of_a_task_is_named(expected: Expectations, field: str, value: object) -> None:
    right = expected.tasks["t1"]
    (sentence,) = faults(expected, tasks={"t1": replace(right, **{field: value})})  # type: ignore[arg-type]
    assert sentence == f"task long heating: {field} is {value!r}, it should be {getattr(right, field)!r}"


@pytest.mark.parametrize("field", ["connects", "disconnects", "generation"])
def test_a_wrong_figure_of_a_device_is_named(expected: Expectations, field: str) -> None:
    wrong = expected.devices | {"arm": replace(expected.devices["arm"], **{field: 7})}
    (sentence,) = faults(expected, devices=wrong)
    assert sentence.startswith(f"device arm: {field} is 7, it should be ")


def test_what_is_missing_and_what_should_not_be_there_is_named(expected: Expectations) -> None:
    more = expected.generations | {"2": replace(expected.generations["1"], number=2)}
    assert faults(expected, generations=more) == ["generation 2 should not be there"]
    assert faults(expected, tasks={}) == ["task t1 is missing"]


def test_tasks_belong_to_the_generation_that_was_newest_when_they_were_submitted(expected: Expectations) -> None:
    expected.live("b2")
    expected.task("t2", "next", "Heating")
    assert _pins(expected.tasks.values()) == [(1, "a1", "code of a1"), (2, "b2", "code of b2")]


def test_a_rollback_is_a_new_generation_of_old_code(expected: Expectations) -> None:
    expected.live("b2")
    back = expected.live("a1", rolled_back_to=1)
    assert (back.number, back.version, back.rolled_back_to) == (3, "code of a1", 1)


def test_a_task_lost_once_does_its_work_twice(expected: Expectations) -> None:
    expected.lost_once("t1")
    assert expected.tasks["t1"].attempts == ("LOST", "COMPLETED")
    assert expected.tasks["t1"].programs == 2


def test_each_connection_follows_a_disconnection(expected: Expectations) -> None:
    expected.live("b2")
    expected.connected(["furnace"])
    furnace, arm = expected.devices["furnace"], expected.devices["arm"]
    assert (furnace.connects, furnace.disconnects, furnace.generation) == (2, 1, 2)
    assert (arm.connects, arm.disconnects, arm.generation) == (1, 0, 1)


def test_a_retired_device_has_no_driver(expected: Expectations) -> None:
    expected.retired("arm")
    arm = expected.devices["arm"]
    assert (arm.state, arm.connects, arm.disconnects, arm.version) == ("retired", 1, 1, None)


def _pins(tasks: Any) -> list[tuple[int, str, str]]:
    return [(task.generation, task.commit, task.version) for task in tasks if isinstance(task, TaskFacts)]


def _timing(*seconds: float) -> Timing:
    steps = [
        {"step": step, "at": AT + timedelta(seconds=after)}
        for step, after in zip(("detected", "frozen", "promoted"), seconds, strict=True)
    ]
    return timing_of(Commit("c" * 40, "change", AT), {"outcome": "live", "generation": 2, "steps": steps})


def test_a_timing_runs_from_the_commit_to_the_last_step() -> None:
    timing = _timing(0.05, 0.1, 0.3)
    assert timing.seconds == pytest.approx(0.3)
    assert timing.phases == pytest.approx({"detected": 0.05, "frozen": 0.05, "promoted": 0.2})
    assert list(timing.faults()) == []


def test_a_step_that_took_less_than_no_time_is_a_fault() -> None:
    assert list(_timing(-0.5, 0.1, 0.3).faults()) == [f"commit {'c' * 12}: detected took -0.500 s, less than no time"]


def test_a_clock_that_ticks_coarsely_is_no_fault() -> None:
    assert list(_timing(-0.004, 0.1, 0.3).faults()) == []


def test_waiting_ends_with_the_first_answer() -> None:
    answers: Iterator[int | None] = iter([None, 3, 5])
    seen: list[str] = []
    assert wait_for("an answer", lambda: next(answers), meanwhile=lambda: seen.append("looked")) == 3
    assert seen == ["looked", "looked"]


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(StoryError, match=r"Waited 0 s in vain for the moon\."):
        wait_for("the moon", lambda: None, seconds=0)


def test_a_claim_that_fails_says_what_is_wrong() -> None:
    claim([1], "nothing is wrong")
    with pytest.raises(StoryError, match="it is wrong"):
        claim([], "it is wrong")


def test_an_experiment_of_the_demo_is_a_chain() -> None:
    tasks = experiment_of("two", [("Dosing", {"mass_mg": 1}), ("Ending", {})])["tasks"]
    assert [task["prev_tasks"] for task in tasks] == [[], [0]]
