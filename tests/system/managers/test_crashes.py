"""What becomes of a task whose worker died, as its class says or a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.managers.crashes import RETRIES
from lab.prompts import Prompt, PromptCategory, PromptStatus
from lab.records import TaskStatus

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64


def started(lab: Lab, on_crash: str) -> Lab:
    lab.promote(NEW)
    lab.describe(on_crash=on_crash)
    lab.furnish()
    lab.start()
    return lab


def crash(lab: Lab, task: str | None = None) -> str:
    """Have the worker of the task that is dispatched next die in the middle of it."""
    process = lab.add_worker()
    task_id = task or lab.submit([])[0]
    lab.run(f"worker-{len(lab._processes)}")
    process.kill()
    process.wait()
    return task_id


def losses(lab: Lab, task: str) -> list[str]:
    return [attempt["outcome"] for attempt in lab.task(task)["attempts"]]


def question(lab: Lab, task: str) -> Prompt:
    prompts = lab.new_backend.prompts
    about = {"category": PromptCategory.CRASH, "task": task}
    lab.until(lambda: prompts.pending(**about))
    [prompt] = prompts.pending(**about)
    return prompt


def status_of(lab: Lab, prompt: Prompt) -> str:
    found = lab.new_backend.prompts.find(prompt["_id"])
    assert found is not None
    return found["status"]


def test_by_default_a_person_is_asked_and_nothing_is_repeated(lab: Lab) -> None:
    task = crash(started(lab, "ask"))
    prompt = question(lab, task)
    assert (prompt["options"], prompt["attempt"]) == (["retry", "abort"], 1)
    assert (lab.task(task)["status"], losses(lab, task)) == (TaskStatus.LOST, ["LOST"])
    assert lab.devices.revoked == []


def test_a_person_has_it_run_again(lab: Lab) -> None:
    task = crash(started(lab, "ask"))
    lab.records.devices.update_one({"_id": "arm"}, {"$set": {"holder": task}})
    lab.new_backend.prompts.answer(question(lab, task)["_id"], "retry", None, "ann")
    lab.add_worker()
    lab.until(lambda: lab.task(task)["attempt"] == 2)
    assert lab.devices.revoked == ["arm"]
    assert lab.records.events.find_one({"kind": "task.retried", "subject": task})["facts"]["actor"] == "ann"  # type: ignore[index]


def test_a_person_has_it_end(lab: Lab) -> None:
    task = crash(started(lab, "ask"))
    lab.new_backend.prompts.answer(question(lab, task)["_id"], "abort", None, "ann")
    assert lab.becomes(task, TaskStatus.CANCELLED)["reason"] == "Cancelled by ann."


@pytest.mark.parametrize("command", ["retry", "cancel_task"])
def test_a_decision_by_command_withdraws_the_question(lab: Lab, command: str) -> None:
    task = crash(started(lab, "ask"))
    prompt = question(lab, task)
    getattr(lab.new_backend.commands, command)(task, "ann")
    lab.until(lambda: status_of(lab, prompt) == PromptStatus.WITHDRAWN)


def test_an_answer_given_while_no_manager_runs_is_carried_out_by_the_next(lab: Lab) -> None:
    task = crash(started(lab, "ask"))
    prompt = question(lab, task)
    lab.stop()
    lab.new_backend.prompts.answer(prompt["_id"], "abort", None, "ann")
    lab.build()
    lab.start()
    lab.becomes(task, TaskStatus.CANCELLED)


def test_a_task_is_run_again_with_its_own_code_where_its_class_says_so_and_then_a_person_is_asked(lab: Lab) -> None:
    task = crash(started(lab, "retry"))
    lab.promote(OLD)
    for _ in range(RETRIES):
        crash(lab, task)
    prompt = question(lab, task)
    assert prompt["attempt"] == RETRIES + 1
    assert losses(lab, task) == ["LOST"] * (RETRIES + 1)
    assert {attempt["snapshot"] for attempt in lab.task(task)["attempts"]} == {NEW}


def test_a_task_ends_where_its_class_says_so(lab: Lab) -> None:
    task = crash(started(lab, "abort"))
    assert lab.becomes(task, TaskStatus.CANCELLED)["reason"] == 'Cancelled by on_crash = "abort".'
    assert lab.new_backend.prompts.pending() == []
