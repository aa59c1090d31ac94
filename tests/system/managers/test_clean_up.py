"""Tasks whose code ended while samples stand in their places wait for a person, with all they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from lab.managers.clean_up import CleanUpManager
from lab.prompts import Prompt, PromptCategory, Prompts, PromptStatus
from lab.records import RequestStatus, Sample, TaskStatus, Want, new_id
from lab.refusals import ConflictError

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

NEW = "1" * 64
WANT = Want(key="furnace_1", kind="device", name="furnace_1", positions={"slot": 1})


class Left:
    """A task that stopped, with a sample in the slot of the furnace that it holds."""

    def __init__(self, lab: Lab, status: TaskStatus = TaskStatus.FINISHING, **fields: Any) -> None:
        self.lab = lab
        lab.add_worker()
        self.task = lab.running_task()
        self.request = lab.request(self.task, WANT)
        self.place = lab.reaches(self.request, RequestStatus.FULFILLED)["grant"]["positions"]["furnace_1"]["slot"][0]  # type: ignore[index]
        self.sample = new_id()
        lab.records.samples.insert_one(
            Sample(
                _id=self.sample, name="quartz", experiment="e", position=self.place, tags=[], metadata={}, history=[]
            )
        )
        fields = {"status": status, "claim": None, "samples": [self.sample], **fields}
        lab.records.tasks.update_one({"_id": self.task}, {"$set": fields})

    def prompt(self) -> Prompt:
        prompts = self.lab.new_backend.prompts
        self.lab.until(lambda: prompts.pending(category=PromptCategory.CLEAN_UP))
        [prompt] = prompts.pending(category=PromptCategory.CLEAN_UP)
        return prompt

    def stands(self) -> Any:
        return self.lab.records.samples.find_one({"_id": self.sample})

    def is_free(self) -> bool:
        place = self.lab.records.positions.find_one({"_id": self.place})
        return place is not None and place["holder"] is None and self.lab.device("furnace_1")["holder"] is None


@pytest.fixture
def started(lab: Lab) -> Lab:
    lab.promote(NEW)
    lab.describe(clean_up="ask")
    lab.furnish()
    lab.start()
    return lab


def test_a_person_takes_the_samples_out_then_all_is_released_and_the_task_ends(started: Lab) -> None:
    left = Left(started, ends_as=TaskStatus.ERROR, error="hotter than 900 C")
    prompt = left.prompt()
    assert (prompt["task"], prompt["options"]) == (left.task, ["OK"])
    assert f"take out quartz from {left.place}" in prompt["text"]
    assert started.device("furnace_1")["holder"] == left.task
    started.new_backend.prompts.answer(prompt["_id"], None, None, "ann")
    task = started.becomes(left.task, TaskStatus.ERROR)
    assert (task["error"], task["ended_at"] is not None) == ("hotter than 900 C", True)
    sample = left.stands()
    assert (sample["position"], sample["history"][-1]["actor"]) == (None, "ann")
    assert (sample["history"][-1]["task"], sample["history"][-1]["attempt"]) == (left.task, 1)
    started.until(left.is_free)


def test_nobody_is_asked_once_the_samples_were_moved_by_hand(started: Lab) -> None:
    left = Left(started, ends_as=TaskStatus.CANCELLED)
    prompt = left.prompt()
    started.new_backend.hand_moves.move("quartz", None, "ann")
    started.becomes(left.task, TaskStatus.CANCELLED)
    withdrawn = {"_id": prompt["_id"], "status": PromptStatus.WITHDRAWN}
    started.until(lambda: started.records.database["prompts"].find_one(withdrawn))
    started.until(left.is_free)


def test_cancelling_again_loses_nothing(started: Lab) -> None:
    left = Left(started, ends_as=TaskStatus.CANCELLED)
    prompt = left.prompt()
    with pytest.raises(ConflictError, match="stopped already, and ends when its samples were taken out"):
        started.new_backend.commands.cancel_task(left.task, "ann")
    assert left.prompt()["_id"] == prompt["_id"]
    assert started.task(left.task)["status"] == TaskStatus.FINISHING


def test_cancelling_again_may_still_stop_its_devices(started: Lab) -> None:
    left = Left(started, ends_as=TaskStatus.ERROR)
    with pytest.raises(ConflictError, match="stopped already"):
        started.new_backend.commands.cancel_task(left.task, "ann", stop_devices=True)
    assert started.devices.asked == [("emergency_stop", "furnace_1")]
    assert started.task(left.task)["status"] == TaskStatus.FINISHING


def test_an_answer_given_while_no_manager_runs_is_carried_out_by_the_next(started: Lab) -> None:
    left = Left(started, ends_as=TaskStatus.ERROR)
    prompt = left.prompt()
    started.stop()
    started.new_backend.prompts.answer(prompt["_id"], "OK", None, "ann")
    assert started.task(left.task)["status"] == TaskStatus.FINISHING
    started.build()
    started.start()
    started.becomes(left.task, TaskStatus.ERROR)
    started.until(left.is_free)


@pytest.mark.parametrize("status", [TaskStatus.LOST, TaskStatus.ABANDONED])
@pytest.mark.parametrize("policy", ["release", "ask"])
def test_a_task_without_worker_that_is_cancelled_follows_its_policy(lab: Lab, policy: str, status: TaskStatus) -> None:
    lab.promote(NEW)
    lab.describe(clean_up=policy)
    lab.furnish()
    lab.start()
    left = Left(lab, status)
    cancelled = lab.new_backend.commands.cancel_task(left.task, "ann")
    if policy == "release":
        assert cancelled["status"] == TaskStatus.CANCELLED
        lab.until(left.is_free)
        assert left.stands()["position"] == left.place
    else:
        assert (cancelled["status"], cancelled["ends_as"]) == (TaskStatus.FINISHING, TaskStatus.CANCELLED)
        lab.new_backend.prompts.answer(left.prompt()["_id"], None, None, "bob")
        assert lab.becomes(left.task, TaskStatus.CANCELLED)["reason"] == "Cancelled by ann."
        assert left.stands()["position"] is None


def test_a_task_without_samples_has_ended_before_its_prompt_is_withdrawn(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.promote(NEW)
    task = lab.running_task()
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.FINISHING, "ends_as": "ERROR"}})
    monkeypatch.setattr(Prompts, "withdraw", MagicMock(side_effect=SystemExit("killed")))
    with pytest.raises(SystemExit):
        CleanUpManager(lab.records, lab.ground.bus).reconcile()
    assert lab.task(task)["status"] == TaskStatus.ERROR


def test_a_task_that_waits_for_a_person_makes_room_at_its_worker(started: Lab) -> None:
    started.add_worker(capacity=1)
    first, second = started.submit([], [])
    running = started.run()
    request = started.request(running, WANT)
    place = started.reaches(request, RequestStatus.FULFILLED)["grant"]["positions"]["furnace_1"]["slot"][0]  # type: ignore[index]
    sample = Sample(_id=new_id(), name="s", experiment="e", position=place, tags=[], metadata={}, history=[])
    started.records.samples.insert_one(sample)
    finishing = {"status": TaskStatus.FINISHING, "ends_as": TaskStatus.ERROR, "claim": None}
    started.records.tasks.update_one({"_id": running}, {"$set": finishing})
    started.becomes(second if running == first else first, TaskStatus.INITIATED)
    assert started.task(running)["status"] == TaskStatus.FINISHING


@pytest.mark.parametrize("policy", ["release", "ask"])
def test_a_lost_task_that_is_skipped_follows_its_policy(lab: Lab, policy: str) -> None:
    lab.promote(NEW)
    lab.describe(clean_up=policy, on_crash="ask")
    lab.furnish()
    lab.start()
    left = Left(lab, TaskStatus.LOST)
    skipped = lab.new_backend.resumption.skip(left.task, "ann")
    assert lab.devices.revoked == ["furnace_1"]
    if policy == "ask":
        assert (skipped["status"], skipped["ends_as"]) == (TaskStatus.FINISHING, TaskStatus.COMPLETED)
        lab.new_backend.prompts.answer(left.prompt()["_id"], None, None, "bob")
    assert lab.becomes(left.task, TaskStatus.COMPLETED)["note"] == "Skipped by ann."
    lab.until(left.is_free)
    assert (left.stands()["position"] is None) == (policy == "ask")
