"""What becomes of the tasks after one that failed."""

from __future__ import annotations

from typing import Any

import pytest

from lab.managers.downstream import Step, next_step
from lab.records import Task, TaskStatus, new_task

ONE, TWO, THREE = "one", "two", "three"


def experiment(**tasks: tuple[str, list[str], list[str]]) -> dict[str, Task]:
    """Tasks by id: (status, samples, the tasks before it)."""
    made = {}
    for name, (status, samples, previous) in tasks.items():
        made[name] = new_task("Heating", {}, samples=samples, experiment="e", previous=previous, task_id=name)
        made[name]["status"] = status
    return made


def step(tasks: dict[str, Task], name: str, on_failure: str = "continue") -> Step | None:
    return next_step(tasks[name], tasks, on_failure)


@pytest.mark.parametrize("on_failure", ["cancel", "continue"])
def test_a_task_goes_when_all_before_it_are_completed(on_failure: str) -> None:
    tasks = experiment(a=("COMPLETED", [], []), b=("RUNNING", [], []), c=("WAITING", [], ["a", "b"]))
    assert step(tasks, "c", on_failure) is None
    tasks["b"]["status"] = "COMPLETED"
    found = step(tasks, "c", on_failure)
    assert found is not None
    assert found.status == TaskStatus.READY


@pytest.mark.parametrize("status", ["ERROR", "CANCELLED"])
def test_what_comes_after_a_failure_is_cancelled_unless_the_experiment_continues(status: str) -> None:
    tasks = experiment(a=(status, [ONE], []), b=("RUNNING", [TWO], []), c=("WAITING", [ONE, TWO], ["a", "b"]))
    cancelled = step(tasks, "c", "cancel")
    assert cancelled is not None
    assert (cancelled.status, cancelled.fields["reason"]) == (
        "CANCELLED",
        f"Task a, which comes before it, ended in {status}.",
    )
    assert step(tasks, "c") is None


def test_a_task_goes_on_with_the_samples_that_remain() -> None:
    tasks = experiment(a=("ERROR", [ONE], []), b=("COMPLETED", [TWO], []), c=("WAITING", [ONE, TWO], ["a", "b"]))
    found = step(tasks, "c")
    assert found is not None
    kept = {key: found.fields[key] for key in ("samples", "planned", "note", "examined")}
    assert (found.status, kept) == (
        "READY",
        {
            "samples": [TWO],
            "planned": [ONE, TWO],
            "note": "Goes on without one of its samples: task a, which comes before it, ended in ERROR.",
            "examined": None,
        },
    )


@pytest.mark.parametrize(
    "tasks",
    [
        experiment(a=("ERROR", [ONE], []), c=("WAITING", [ONE, TWO], ["a"])),  # nothing before it is completed
        experiment(a=("ERROR", [ONE], []), b=("COMPLETED", [ONE], []), c=("WAITING", [ONE], ["a", "b"])),
        experiment(a=("ERROR", [], []), b=("COMPLETED", [], []), c=("WAITING", [], ["a", "b"])),
    ],
)
def test_a_task_that_nothing_remains_for_is_cancelled(tasks: dict[str, Task]) -> None:
    found = step(tasks, "c")
    assert found is not None
    assert found.status == TaskStatus.CANCELLED


def test_a_sample_that_failed_far_before_is_missing_too() -> None:
    tasks = experiment(
        a=("ERROR", [ONE, TWO], []),
        b=("CANCELLED", [ONE], ["a"]),
        c=("COMPLETED", [THREE], []),
        d=("WAITING", [ONE, TWO, THREE], ["b", "c"]),
    )
    found = step(tasks, "d")
    assert found is not None
    assert found.fields["samples"] == [THREE]


def test_a_sample_that_went_missing_on_the_way_does_not_come_back() -> None:
    """Also when what failed was retried later."""
    tasks = experiment(
        a=("COMPLETED", [ONE], []),
        b=("COMPLETED", [TWO], ["a"]),
        c=("COMPLETED", [THREE], []),
        f=("ERROR", [THREE], ["c"]),
        d=("WAITING", [ONE, TWO, THREE], ["b", "c", "f"]),
    )
    tasks["b"]["planned"] = [ONE, TWO]
    found = step(tasks, "d")
    assert found is not None
    assert found.fields["samples"] == [TWO]


def test_samples_a_failure_does_not_concern_go_on_without_a_word() -> None:
    tasks = experiment(a=("ERROR", [ONE], []), b=("COMPLETED", [TWO], []), c=("WAITING", [TWO], ["a", "b"]))
    found = step(tasks, "c")
    assert found is not None
    assert (found.status, "note" in found.fields, "samples" in found.fields) == ("READY", False, False)


def test_a_task_that_is_to_be_skipped_has_ended_when_its_turn_comes() -> None:
    tasks = experiment(a=("RUNNING", [], []), b=("WAITING", [], ["a"]))
    tasks["b"]["skip"] = "ann"
    assert step(tasks, "b") is None
    tasks["a"]["status"] = "COMPLETED"
    found = step(tasks, "b")
    assert found is not None
    facts: Any = (found.status, found.fields["note"], found.fields["ended_at"] is not None)
    assert facts == ("COMPLETED", "Skipped by ann.", True)
