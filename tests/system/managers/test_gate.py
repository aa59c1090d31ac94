"""Queued work and new code: what does not fit is named, and held or kept on the code it fits."""

from __future__ import annotations

import unittest.mock
from typing import TYPE_CHECKING, Any

import pytest

from hotswap.cutover import Pipeline, Refresh
from hotswap.errors import DescribeError
from lab.managers.examination import Examiner
from lab.managers.refresh import EnvironmentPolicy, LabParticipant, QueueGate
from lab.records import Document, TaskStatus

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64


class Template:
    """Answers like the template of code that refuses 13 minutes; notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[Document]] = []

    def ask(self, snapshot: str, hook: str, question: Document) -> Document:
        assert hook == "lab.definitions:examine"
        self.asked.append(question["tasks"])
        refused = {"field": None, "reason": "thirteen is refused"}
        unlucky = snapshot == NEW
        return {
            "objections": [
                refused if unlucky and each["parameters"]["minutes"] == 13 else None for each in question["tasks"]
            ]
        }


def gate(lab: Lab, template: Template, policy: Any = "hold") -> QueueGate:
    return QueueGate(lab.records, Examiner(lab.records, template.ask), policy)


def roll_back(lab: Lab, gate: QueueGate, number: int) -> None:
    ground, nothing = lab.ground, unittest.mock.Mock()
    environment = EnvironmentPolicy(ground.records, lambda _: ())
    participant = LabParticipant(
        ground.records, ground.catalog, nothing, nothing, nothing, nothing, environment, nothing, nothing, gate
    )
    Pipeline(lab.records.refreshes, ground.generations, participant).roll_back(Refresh("ada", "rollback"), number)


def test_each_queued_task_that_does_not_fit_is_named_and_alike_ones_are_constructed_once(lab: Lab) -> None:
    lab.promote(OLD)
    bad = [*lab.submit([], [], [0], minutes=13), *lab.submit([], minutes=13)]
    lab.submit(*[[] for _ in range(100)])
    template = Template()
    found = gate(lab, template).unfit(NEW)
    reason = {"type": "Heating", "field": None, "reason": "thirteen is refused"}
    assert found == [{"task": each, **reason} for each in sorted(bad)]
    assert [len(asked) for asked in template.asked] == [2]


def test_a_task_that_new_code_refuses_is_held_with_the_reason_while_others_go_on(lab: Lab) -> None:
    template = Template()
    lab.promote(OLD)
    (bad,), (good,) = lab.submit([], minutes=13), lab.submit([])
    gate(lab, template).note(NEW)
    lab.promote(NEW)
    lab.add_worker(NEW)
    lab.start()
    lab.becomes(good, TaskStatus.INITIATED)
    lab.until(lambda: lab.task(bad)["reason"])
    assert "thirteen is refused" in str(lab.task(bad)["reason"])
    assert lab.task(bad)["status"] == TaskStatus.READY


def test_a_held_task_is_dispatched_when_a_later_generation_takes_it(lab: Lab) -> None:
    template = Template()
    lab.promote(OLD)
    (bad,) = lab.submit([], minutes=13)
    gate(lab, template).note(NEW)
    lab.promote(NEW)
    lab.add_worker(OLD)
    lab.add_worker(NEW)
    lab.start()
    lab.until(lambda: lab.task(bad)["reason"])
    lab.promote(OLD)
    assert lab.becomes(bad, TaskStatus.INITIATED)["pin"]["generation"] == 3  # type: ignore[index]


def test_a_task_that_is_kept_runs_the_code_it_fits_also_when_it_becomes_ready_later(lab: Lab) -> None:
    template = Template()
    lab.promote(OLD)
    first, second = lab.submit([], [0], minutes=13)
    keeping = gate(lab, template, "keep")
    keeping.note(NEW)
    lab.promote(NEW)
    current = lab.ground.generations.current()
    assert current is not None
    keeping.settle(current)
    lab.add_worker(OLD)
    lab.start()
    lab.until(lambda: not lab.sent.empty())
    lab.run()
    lab.end(first)
    assert lab.becomes(second, TaskStatus.INITIATED)["pin"]["snapshot"] == OLD  # type: ignore[index]


def test_what_is_queued_while_a_barrier_is_waited_for_is_kept_too(lab: Lab) -> None:
    template = Template()
    lab.promote(OLD)
    keeping = gate(lab, template, "keep")
    keeping.note(NEW)
    (late,) = lab.submit([], minutes=13)
    lab.promote(NEW)
    current = lab.ground.generations.current()
    assert current is not None
    keeping.settle(current)
    assert lab.task(late)["pin"]["snapshot"] == OLD  # type: ignore[index]


@pytest.mark.parametrize("policy", ["refuse", "hold", "keep"])
def test_a_roll_back_is_not_refused_but_tasks_that_the_old_code_does_not_take_are_held_or_kept(
    lab: Lab, policy: str
) -> None:
    """NEW refuses 13 minutes, and is what is gone back to."""
    lab.promote(NEW)
    lab.promote(OLD)
    (bad,), (good,) = lab.submit([], minutes=13), lab.submit([])
    lab.add_worker(NEW)
    lab.add_worker(OLD)
    roll_back(lab, gate(lab, Template(), policy), 1)
    lab.start()
    assert lab.becomes(good, TaskStatus.INITIATED)["pin"]["generation"] == 3  # type: ignore[index]
    if policy == "keep":
        assert lab.becomes(bad, TaskStatus.INITIATED)["pin"]["generation"] == 2  # type: ignore[index]
    else:
        assert "thirteen is refused" in str(lab.until(lambda: lab.task(bad)["reason"]))


def test_a_roll_back_goes_on_where_a_queued_task_ends_the_process_that_examines_it(lab: Lab) -> None:
    def die(*_: object) -> Document:
        raise DescribeError("it ended with exit code 1")

    lab.promote(OLD)
    lab.submit([])
    QueueGate(lab.records, Examiner(lab.records, die), "refuse").note_known(NEW)


def test_what_was_submitted_meanwhile_is_examined_at_its_dispatch_all_in_one_fork(lab: Lab) -> None:
    template = Template()
    lab.promote(NEW)
    lab.add_worker(NEW)
    lab.new_backend._tasks._examiner = Examiner(lab.records, template.ask)
    (bad,) = lab.submit([], minutes=13)
    good = [lab.submit([], minutes=minutes)[0] for minutes in range(1, 9)]
    lab.start()
    for each in good:
        lab.becomes(each, TaskStatus.INITIATED)
    lab.until(lambda: lab.task(bad)["reason"])
    assert [len(asked) for asked in template.asked] == [9]
