"""People in the loop of a launched lab: tasks and devices that ask, samples taken out, lost tasks decided on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system

ASKING = '''\
"""A task for tests: it asks a person while it holds a furnace."""

from typing import Any

from lab import BaseTask


class Asking(BaseTask):
    """Ask about a furnace, and return the answer."""

    def __init__(self, furnace: str) -> None:
        self.furnace = furnace

    def run(self) -> list[Any]:
        """Return the answer, and the reading of the furnace after it."""
        with self.lab_view.request_resources({self.furnace: {}}) as (devices, _):
            told = self.lab_view.request_user_input_with_note("Is the crucible whole?", ["yes", "no"])
            return [*told, devices[self.furnace].temperature()]
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("people")) as launched:
        add_task(launched, "Asking", ASKING)
        launched.go_live()
        yield launched


def add_task(lab: Laboratory, name: str, code: str) -> None:
    lab.write(f"my_lab/tasks/{name.lower()}.py", code)
    lab.edit("my_lab/__init__.py", "add_task(Holding)", f"add_task(Holding)\nadd_task({name})")
    importing = "from .tasks.holding import Holding"
    lab.edit("my_lab/__init__.py", importing, f"{importing}\nfrom .tasks.{name.lower()} import {name}")


def prompt_of(lab: Laboratory, task: str) -> Any:
    """The prompt that a task waits for, once there is one."""
    return lab.until(lambda: next(iter(lab.client.task(task)["prompts"]), None))


def test_a_task_waits_for_an_answer_and_goes_on_with_it(lab: Laboratory) -> None:
    task = lab.submit_one("Asking", {"furnace": "furnace_1"})
    prompt = prompt_of(lab, task)
    assert lab.task(task)["status"] == "RUNNING"
    assert f"waits for a person: Is the crucible whole? (lab answer {prompt['id']})" in lab.cli("tasks")
    assert "waiting for a person: 1 prompt" in lab.cli("status")
    assert prompt["id"] in lab.cli("prompts")
    assert "does not offer 'perhaps'" in lab.refused("answer", prompt["id"], "perhaps")
    lab.cli("answer", prompt["id"][:8], "no", "--note", "a crack")
    assert lab.result(task)[:2] == ["no", "a crack"]
    assert "already" in lab.refused("answer", prompt["id"], "yes")
    [told] = [each for each in json.loads(lab.cli("prompts", "--all", "--json")) if each["id"] == prompt["id"]]
    assert (told["status"], told["answer"], told["note"]) == ("ANSWERED", "no", "a crack")


def test_the_wait_does_not_notice_that_the_managers_are_replaced(lab: Laboratory) -> None:
    task = lab.submit_one("Asking", {"furnace": "furnace_1"})
    prompt = prompt_of(lab, task)
    before = lab.identity("managers")
    before.kill()
    lab.until(lambda: _replaced(lab, before))
    lab.cli("answer", prompt["id"], "yes")
    assert lab.result(task)[0] == "yes"
    assert [attempt["outcome"] for attempt in lab.task(task)["attempts"]] == ["COMPLETED"]


def test_a_cancellation_ends_the_wait_and_withdraws_the_prompt(lab: Laboratory) -> None:
    task = lab.submit_one("Asking", {"furnace": "furnace_1"})
    prompt = prompt_of(lab, task)
    lab.cli("cancel", task)
    lab.reached(task, "CANCELLED")
    assert "nobody waits" in lab.refused("answer", prompt["id"], "yes")
    lab.until(lambda: lab.devices()["furnace_1"]["state"] == "free")


def _replaced(lab: Laboratory, before: Any) -> bool:
    """Whether other managers answer."""
    try:
        return lab.identity("managers") != before and bool(lab.client.status())
    except Exception:  # while they are being started, anything may be missing
        return False
