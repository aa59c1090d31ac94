"""Prompts over HTTP, and their withdrawal when nobody waits any more."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from hotswap.process import Identity
from lab.prompts import Prompt, PromptCategory, Prompts, PromptStatus, new_prompt
from lab.records import TaskStatus
from lab.refusals import AnswerError, ConflictError, NotFoundError
from lab.server import views
from lab.settings.simulation import Simulation

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system


@pytest.fixture
def prompts(lab: Lab) -> Prompts:
    lab.add_worker()
    lab.start()
    return lab.new_backend.prompts


def ask(prompts: Prompts, text: str = "Is it whole?", *options: str, **about: Any) -> str:
    prompt = new_prompt(about.pop("category", PromptCategory.QUESTION), text, options or ("yes", "no"), **about)
    prompts.ask(prompt)
    return prompt["_id"]


def found(prompts: Prompts, prompt_id: str) -> Prompt:
    prompt = prompts.find(prompt_id)
    assert prompt is not None
    return prompt


def status_of(prompts: Prompts, prompt_id: str) -> str:
    return found(prompts, prompt_id)["status"]


def settle(lab: Lab, prompts: Prompts) -> None:
    """Wait until the manager has looked at everything that was asked before."""
    stray = ask(prompts, task="nobody")
    lab.until(lambda: status_of(prompts, stray) == PromptStatus.WITHDRAWN)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen(["sleep", "600"])
    yield made
    made.kill()
    made.wait()


def test_an_answer_is_one_of_the_options_and_is_kept_with_note_and_actor(lab: Lab, prompts: Prompts) -> None:
    asked = ask(prompts, task=lab.running_task(), attempt=1)
    with pytest.raises(AnswerError, match="does not offer 'perhaps'; answer one of 'yes', 'no'"):
        prompts.answer(asked, "perhaps", None, "ann")
    with pytest.raises(AnswerError, match="needs an answer"):
        prompts.answer(asked, None, None, "ann")
    prompts.answer(asked, "no", "a crack", "ann")
    answered = found(prompts, asked)
    assert (answered["answer"], answered["note"], answered["actor"]) == ("no", "a crack", "ann")
    assert answered["answered_at"] is not None


def test_a_second_answer_changes_nothing(lab: Lab, prompts: Prompts) -> None:
    asked = ask(prompts, task=lab.running_task(), attempt=1)
    prompts.answer(asked, "no", None, "ann")
    with pytest.raises(ConflictError, match="answered with 'no' by ann already"):
        prompts.answer(asked, "yes", None, "bob")
    assert found(prompts, asked)["answer"] == "no"


def test_the_only_option_need_not_be_said_and_the_id_may_be_shortened(lab: Lab, prompts: Prompts) -> None:
    asked = ask(prompts, "Fill the hopper", "OK", task=lab.running_task(), attempt=1)
    assert prompts.answer(asked[:6], None, None, "ann")["answer"] == "OK"


def test_a_beginning_of_several_ids_is_refused_and_one_of_none_too(lab: Lab, prompts: Prompts) -> None:
    task = lab.running_task()
    for number in (1, 2):
        prompts.ask({**new_prompt(PromptCategory.QUESTION, "?", ["OK"], task=task, attempt=1), "_id": f"abc{number}"})
    with pytest.raises(ConflictError, match="Several prompts begin with 'abc'"):
        prompts.get("abc")
    assert prompts.get("abc2")["_id"] == "abc2"
    for unknown in ("abd", "", "zz"):
        with pytest.raises(NotFoundError, match="lab prompts"):
            prompts.get(unknown)


def test_pending_prompts_are_listed_first(lab: Lab, prompts: Prompts) -> None:
    task = lab.running_task()
    first, second, third = (ask(prompts, text, task=task, attempt=1) for text in ("first", "second", "third"))
    prompts.answer(second, "yes", None, "ann")
    assert [each["_id"] for each in prompts.listed(None, 10)] == [first, third, second]
    assert [each["_id"] for each in prompts.listed(PromptStatus.ANSWERED, 10)] == [second]
    assert [each["_id"] for each in prompts.listed(PromptStatus.PENDING, 10)] == [first, third]


def test_a_task_is_listed_with_what_it_asks(lab: Lab, prompts: Prompts) -> None:
    lab.promote("1" * 64)
    [task] = lab.submit([])
    lab.run()
    asked = ask(prompts, task=task, attempt=1)
    [listed] = views.tasks(lab.records, {})
    assert (listed["status"], [each["_id"] for each in listed["prompts"]]) == (TaskStatus.RUNNING, [asked])
    assert views.task(lab.records, task)["prompts"][0]["text"] == "Is it whole?"
    assert views.status(lab.new_backend, "test", Simulation(), auto_refresh=False)["prompts"] == 1


@pytest.mark.parametrize(
    "status", [TaskStatus.LOST, TaskStatus.ABANDONED, TaskStatus.ERROR, TaskStatus.CANCELLED, TaskStatus.READY]
)
def test_the_prompt_of_a_task_that_waits_no_more_is_withdrawn(lab: Lab, prompts: Prompts, status: TaskStatus) -> None:
    task = lab.running_task()
    asked = ask(prompts, task=task, attempt=1)
    settle(lab, prompts)
    assert status_of(prompts, asked) == PromptStatus.PENDING
    lab.end(task, status)
    lab.until(lambda: status_of(prompts, asked) == PromptStatus.WITHDRAWN)
    with pytest.raises(ConflictError, match="nobody waits"):
        prompts.answer(asked, "yes", None, "ann")


def test_the_prompt_of_an_earlier_attempt_is_withdrawn(lab: Lab, prompts: Prompts) -> None:
    task = lab.running_task()
    asked = ask(prompts, task=task, attempt=0)
    lab.until(lambda: status_of(prompts, asked) == PromptStatus.WITHDRAWN)


def test_managers_that_start_withdraw_what_was_left_behind(lab: Lab) -> None:
    asked = ask(lab.new_backend.prompts, task="gone", attempt=1)
    lab.start()
    lab.until(lambda: status_of(lab.new_backend.prompts, asked) == PromptStatus.WITHDRAWN)


def test_the_prompt_of_a_device_is_withdrawn_when_its_driver_process_dies(
    lab: Lab, prompts: Prompts, process: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(process.pid).to_dict()
    asked = ask(prompts, category=PromptCategory.MAINTENANCE, device="arm", process=identity)
    settle(lab, prompts)
    assert status_of(prompts, asked) == PromptStatus.PENDING
    process.kill()
    process.wait()
    lab.until(lambda: status_of(prompts, asked) == PromptStatus.WITHDRAWN)
