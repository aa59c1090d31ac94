"""What a person does about tasks that have not started: other code, other parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from malformed import nested

from hotswap.generations import SnapshotState
from lab.managers.commands import RETRIABLE
from lab.managers.examination import Examiner
from lab.managers.unstarted import Unstarted
from lab.provenance._attempts import attempts_of
from lab.records import Document, TaskStatus, now
from lab.refusals import ConflictError, NotFoundError, SubmissionError

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64


def ask(snapshot: str, _: str, question: Document) -> Document:
    """The template of new code refuses 13 minutes."""
    refused = {"field": None, "reason": "thirteen is refused"}
    return {
        "objections": [
            refused if snapshot == NEW and each["parameters"]["minutes"] == 13 else None for each in question["tasks"]
        ]
    }


@pytest.fixture
def unstarted(lab: Lab) -> Unstarted:
    """Of a laboratory where old code is superseded by new code."""
    lab.promote(OLD)
    lab.promote(NEW)
    return Unstarted(
        lab.records, lab.ground.catalog, Examiner(lab.records, ask), lab.new_backend.commands, lambda: None
    )


def test_a_held_task_that_is_moved_runs_the_code_it_was_moved_to(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([], minutes=13)
    lab.records.tasks.update_one({"_id": task}, {"$set": {"reason": "held"}})
    moved = unstarted.move_task(task, OLD[:8], "ann")
    assert moved["pin"] is not None
    assert (moved["pin"]["snapshot"], moved["pin"]["generation"], moved["reason"]) == (OLD, 1, None)
    lab.add_worker(OLD)
    lab.start()
    assert lab.becomes(task, TaskStatus.INITIATED)["pin"]["snapshot"] == OLD  # type: ignore[index]
    event = lab.records.events.find_one({"kind": "task.moved", "subject": task})
    assert event is not None
    assert event["facts"] == {"actor": "ann", "before": None, "snapshot": OLD}


def test_a_drained_snapshot_drains_again_when_a_task_is_moved_to_it(lab: Lab, unstarted: Unstarted) -> None:
    states = lab.ground.generations.states
    states.record(OLD, SnapshotState.DRAINED)
    (task,) = lab.submit([])
    unstarted.move_task(task, OLD, "ann")
    assert states.state(OLD) is SnapshotState.DRAINING


def test_a_task_that_has_the_code_already_may_be_moved_to_it(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([])
    assert unstarted.move_task(task, OLD, "ann")["pin"] == unstarted.move_task(task, OLD, "ann")["pin"]


def test_a_task_is_not_moved_to_code_that_does_not_take_it(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([], minutes=13)
    with pytest.raises(SubmissionError, match=rf"1111 does not take task {task}: thirteen is refused\.$"):
        unstarted.move_task(task, "current", "ann")
    assert lab.task(task)["pin"] is None


@pytest.mark.parametrize(("status", "how"), [(TaskStatus.RUNNING, "started"), (TaskStatus.COMPLETED, "ended")])
def test_a_task_that_runs_or_ended_keeps_its_code_and_parameters(
    lab: Lab, unstarted: Unstarted, status: TaskStatus, how: str
) -> None:
    (task,) = lab.submit([])
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": status}})
    with pytest.raises(ConflictError, match=f"has {how} .*; only a task that has not started, or that is LOST"):
        unstarted.move_task(task, "current", "ann")
    with pytest.raises(ConflictError, match=f"has {how} .*; only a task that has not started can be edited"):
        unstarted.edit(task, {"minutes": 2}, [], "ann")


@pytest.mark.parametrize("status", [TaskStatus.READY, TaskStatus.LOST])
def test_a_task_is_not_moved_to_code_with_another_driver_of_a_device_that_is_its_own(
    lab: Lab, unstarted: Unstarted, status: TaskStatus
) -> None:
    lab.furnish("other")
    (task,) = lab.submit([])
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": status}})
    lab.records.devices.update_one({"_id": "arm"}, {"$set": {"holder": task}})
    with pytest.raises(ConflictError, match="still holds arm from an earlier attempt, with another driver than"):
        unstarted.move_task(task, OLD, "ann")
    assert (lab.task(task)["pin"], lab.devices.revoked) == (None, [])


@pytest.mark.parametrize("status", RETRIABLE)
def test_a_task_that_is_stopped_runs_again_with_the_code_it_is_moved_to(
    lab: Lab, unstarted: Unstarted, status: TaskStatus
) -> None:
    lab.furnish()
    lab.add_worker(NEW)
    lab.add_worker(OLD)
    (task,) = lab.submit([])
    unstarted.move_task(task, OLD, "ann")
    lab.start()
    lab.run()
    stopped = {"status": status, "claim": None, "ended_at": now()}
    lab.records.tasks.update_one({"_id": task}, {"$set": stopped})
    lab.records.devices.update_one({"_id": "arm"}, {"$set": {"holder": task, "fence": 1}})
    unstarted.move_task(task, "current", "ann")
    assert set(lab.devices.revoked) == {"arm"}  # one that is ABANDONED has lost it before
    again = lab.becomes(task, TaskStatus.INITIATED)
    assert (again["pin"]["snapshot"], again["attempt"]) == (NEW, 2)  # type: ignore[index]
    assert lab.device("arm")["holder"] == task


def test_a_task_that_is_stopped_stays_so_when_the_code_does_not_take_it(lab: Lab, unstarted: Unstarted) -> None:
    lab.furnish()
    (task,) = lab.submit([], minutes=13)
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.LOST}})
    lab.records.devices.update_one({"_id": "arm"}, {"$set": {"holder": task}})
    with pytest.raises(SubmissionError, match="thirteen is refused"):
        unstarted.move_task(task, "current", "ann")
    assert (lab.task(task)["status"], lab.devices.revoked) == (TaskStatus.LOST, [])


def test_a_task_is_moved_only_to_code_that_was_live(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([])
    for unknown in ("2222", ""):
        with pytest.raises(NotFoundError, match="was ever live; `lab versions` lists those that were"):
            unstarted.move_task(task, unknown, "ann")


def test_of_an_experiment_only_the_unstarted_tasks_are_moved(lab: Lab, unstarted: Unstarted) -> None:
    first, second, third = lab.submit([], [0], [0])
    lab.records.tasks.update_one({"_id": first}, {"$set": {"status": TaskStatus.RUNNING}})
    told = unstarted.move_experiment(lab.task(first)["experiment"], OLD, "ann")
    assert (told["moved"], told["snapshot"], told["generation"]) == (sorted([second, third]), OLD, 1)
    assert lab.task(first)["pin"] is None
    lab.records.tasks.update_many({}, {"$set": {"status": TaskStatus.COMPLETED}})
    with pytest.raises(ConflictError, match="has no task that has not started"):
        unstarted.move_experiment(lab.task(first)["experiment"], OLD, "ann")


def test_a_held_task_that_is_edited_goes_on_and_says_who_changed_what(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([], minutes=13)
    lab.records.tasks.update_one({"_id": task}, {"$set": {"reason": "held"}})
    edited = unstarted.edit(task, {"minutes": 14}, [], "ann")
    assert (edited["parameters"], edited["reason"]) == ({"minutes": 14}, None)
    assert [(each["actor"], each["before"], each["after"]) for each in edited["edits"]] == [
        ("ann", {"minutes": 13}, {"minutes": 14})
    ]
    lab.add_worker(NEW)
    lab.start()
    lab.run()
    (attempt,) = attempts_of(lab.task(task))
    assert (attempt["parameters"], attempt["edits"][0]["actor"]) == ({"minutes": 14}, "ann")


def test_an_edit_is_checked_with_the_code_the_task_is_bound_to(lab: Lab, unstarted: Unstarted) -> None:
    free, kept = lab.submit([], [])
    unstarted.move_task(kept, OLD, "ann")
    assert unstarted.edit(kept, {"minutes": 13}, [], "ann")["parameters"] == {"minutes": 13}
    for wrong, reason in (
        ({"minutes": 13}, "thirteen"),
        ({"minutes": "x"}, "must be an integer"),
        ({"a": 1}, "no par"),
    ):
        with pytest.raises(SubmissionError, match=f"does not take task {free}: .*{reason}"):
            unstarted.edit(free, wrong, [], "ann")
    assert lab.task(free)["parameters"] == {"minutes": 1}


def test_a_parameter_that_is_nested_too_deep_is_refused_by_its_name(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([])
    with pytest.raises(SubmissionError, match=r"Parameter 'minutes' is nested more than 100 levels deep"):
        unstarted.edit(task, {"minutes": nested(900)}, [], "ann")
    assert lab.task(task)["parameters"] == {"minutes": 1}


def test_a_parameter_is_removed_only_if_it_is_there_and_not_needed(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([])
    lab.records.tasks.update_one({"_id": task}, {"$set": {"parameters.gone": 1}})
    assert unstarted.edit(task, {}, ["gone"], "ann")["parameters"] == {"minutes": 1}
    with pytest.raises(SubmissionError, match="has no parameter 'gone' that could be removed"):
        unstarted.edit(task, {}, ["gone"], "ann")
    with pytest.raises(SubmissionError, match="parameter 'minutes' is missing"):
        unstarted.edit(task, {}, ["minutes"], "ann")


@pytest.mark.parametrize(
    ("change", "reason"), [({"minutes": 1}, "has these parameters already"), ({"minutes": 2**70}, "cannot be stored")]
)
def test_an_edit_that_changes_nothing_or_cannot_be_stored_is_refused(
    lab: Lab, unstarted: Unstarted, change: Document, reason: str
) -> None:
    (task,) = lab.submit([])
    with pytest.raises(SubmissionError, match=reason):
        unstarted.edit(task, change, [], "ann")


def test_what_ran_before_keeps_the_parameters_its_record_tells(lab: Lab, unstarted: Unstarted) -> None:
    (task,) = lab.submit([])
    lab.records.tasks.update_one({"_id": task}, {"$set": {"attempt": 1}})
    with pytest.raises(ConflictError, match="ran with its parameters before; cancel it and submit a new one"):
        unstarted.edit(task, {"minutes": 2}, [], "ann")
