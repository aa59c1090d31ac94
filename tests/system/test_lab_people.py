"""People in the loop of a launched lab: tasks and devices that ask, samples taken out, lost tasks decided on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
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


LEAVING = '''\
"""Tasks for tests: they put their sample into a furnace, and end in some way or other."""

from typing import Any

from lab import BaseTask


class Leaving(BaseTask):
    """Leave the sample in the furnace for a person to take out."""

    clean_up = "ask"

    def __init__(self, how: str) -> None:
        self.how = how

    def run(self) -> dict[str, Any]:
        """Return what the lab says of places and sample."""
        [sample] = self.samples
        view = self.lab_view
        with view.request_resources({"furnace_1": {"slot": 1}}) as (devices, places):
            [place] = places["furnace_1"]["slot"]
            view.move_sample(sample, place)
            told = {"held": view.get_locked_sample_positions(), "device": view.get_sample_position_parent_device(place)}
            view.update_sample_metadata(sample, {"colour": "grey", "mass_mg": 12.5})
            self.set_message("loaded")
            if self.how == "wait":
                view.sleep(3600)
            if self.how == "fail":
                raise RuntimeError("it is too hot")
            view.request_cleanup()
            return {**told, "position": view.get_sample(sample).position}


class Stubborn(BaseTask):
    """Wait for the file ``gate`` again from the start when the worker dies."""

    on_crash = "retry"

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def run(self) -> str:
        """Return when the file is there."""
        from pathlib import Path

        while not Path(self.gate).exists():
            self.set_message("waiting")
            self.lab_view.sleep(0.02)
        return "done"


class Fragile(Stubborn):
    """Do not wait again."""

    on_crash = "abort"


class Refilling(BaseTask):
    """Have the hopper ask for powder."""

    def run(self) -> str:
        """Return what was answered."""
        with self.lab_view.request_resources({"hopper": {}}) as (devices, _):
            return str(devices["hopper"].refill())
'''

HOPPER = '''\
"""A device for tests: it asks for powder."""

from lab import BaseDevice, SamplePosition


class Hopper(BaseDevice):
    """Asks for powder."""

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """None."""
        return []

    def connect(self) -> None:
        """Nothing to open."""

    def disconnect(self) -> None:
        """Nothing to close."""

    def is_running(self) -> bool:
        """Never."""
        return False

    def emergency_stop(self) -> None:
        """Say so."""
        self.set_message("stopped")

    def refill(self) -> str:
        """Ask, and return the answer."""
        return self.request_maintenance("Refill the hopper", ["done", "no powder left"])
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("people")) as launched:
        add(launched, "tasks/asking", ASKING, "Asking")
        add(launched, "tasks/leaving", LEAVING, "Leaving", "Stubborn", "Fragile", "Refilling")
        launched.write("my_lab/devices/hopper.py", HOPPER)
        importing = "from .devices.hopper import Hopper\nfrom .tasks import"
        launched.edit("my_lab/__init__.py", "from .tasks import", importing)
        adding = 'add_device(Hopper, name="hopper")\nadd_task(Dosing)'
        launched.edit("my_lab/__init__.py", "add_task(Dosing)", adding)
        launched.go_live()
        launched.settle()
        yield launched


def add(lab: Laboratory, module: str, code: str, *tasks: str) -> None:
    lab.write(f"my_lab/{module}.py", code)
    importing = "from .tasks.holding import Holding"
    more = f"from .{module.replace('/', '.')} import {', '.join(tasks)}"
    lab.edit("my_lab/__init__.py", importing, f"{importing}\n{more}")
    registered = "".join(f"\nadd_task({task})" for task in tasks)
    lab.edit("my_lab/__init__.py", "add_task(Holding)", f"add_task(Holding){registered}")


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


def start_leaving(lab: Laboratory, how: str) -> tuple[str, str]:
    """A task with a sample; returns the ids of both."""
    leaving = {"type": "Leaving", "parameters": {"how": how}, "samples": ["quartz"]}
    experiment = lab.client.experiment(
        lab.client.submit({"name": "test", "samples": [{"name": "quartz"}], "tasks": [leaving]})
    )
    return experiment["tasks"][0]["id"], experiment["samples"][0]["id"]


def sample_of(lab: Laboratory, sample: str) -> Any:
    return lab.records.samples.find_one({"_id": sample})


def is_free(lab: Laboratory) -> bool:
    held = lab.records.positions.find_one({"device": "furnace_1", "holder": {"$ne": None}})
    return held is None and lab.devices()["furnace_1"]["state"] == "free"


def kill_worker(lab: Laboratory) -> None:
    [pid] = [pid for name, pid in lab.version_processes().items() if name.startswith("worker")]
    psutil.Process(pid).kill()


def test_a_failed_task_keeps_what_it_holds_until_its_sample_was_taken_out(lab: Laboratory) -> None:
    task, sample = start_leaving(lab, "fail")
    prompt = prompt_of(lab, task)
    finishing = lab.task(task)
    assert (finishing["status"], finishing["ends_as"], finishing["claim"]) == ("FINISHING", "ERROR", None)
    assert "take out quartz from furnace_1/slot/" in prompt["text"]
    assert lab.devices()["furnace_1"]["holder"] == task
    lab.cli("answer", prompt["id"])
    assert "it is too hot" in str(lab.reached(task, "ERROR")["error"])
    assert sample_of(lab, sample)["position"] is None
    assert [attempt["outcome"] for attempt in lab.task(task)["attempts"]] == ["ERROR"]
    lab.until(lambda: is_free(lab))


def test_so_does_one_that_is_cancelled_and_cancelling_it_again_loses_nothing(lab: Laboratory) -> None:
    task, sample = start_leaving(lab, "wait")
    lab.until(lambda: lab.task(task)["message"] == "loaded")
    lab.cli("cancel", task)
    prompt = prompt_of(lab, task)
    assert "stopped already, and ends when its samples were taken out" in lab.refused("cancel", task)
    assert lab.devices()["furnace_1"]["holder"] == task
    lab.cli("answer", prompt["id"])
    lab.reached(task, "CANCELLED")
    assert sample_of(lab, sample)["position"] is None
    lab.until(lambda: is_free(lab))


def test_a_task_asks_for_its_samples_to_be_taken_out_and_goes_on(lab: Laboratory) -> None:
    task, sample = start_leaving(lab, "ask")
    prompt = prompt_of(lab, task)
    place = sample_of(lab, sample)["position"]
    assert lab.task(task)["status"] == "RUNNING"
    lab.cli("answer", prompt["id"])
    assert lab.result(task) == {"held": [place], "device": "furnace_1", "position": None}
    assert sample_of(lab, sample)["metadata"] == {"colour": "grey", "mass_mg": 12.5}
    lab.until(lambda: is_free(lab))


def test_a_person_decides_on_a_lost_task_then_takes_its_sample_out(lab: Laboratory) -> None:
    task, sample = start_leaving(lab, "wait")
    lab.until(lambda: lab.task(task)["message"] == "loaded")
    kill_worker(lab)
    lost = prompt_of(lab, task)
    assert (lab.task(task)["status"], lost["options"]) == ("LOST", ["retry", "abort"])
    lab.cli("answer", lost["id"], "abort")
    lab.reached(task, "FINISHING")
    lab.cli("answer", prompt_of(lab, task)["id"])
    lab.reached(task, "CANCELLED")
    assert sample_of(lab, sample)["position"] is None
    lab.until(lambda: is_free(lab))


def test_a_task_whose_class_says_so_is_run_again_by_itself(lab: Laboratory, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = lab.submit_one("Stubborn", {"gate": str(gate)})
    lab.until(lambda: lab.task(task)["message"] == "waiting")
    kill_worker(lab)
    lab.until(lambda: lab.task(task)["attempt"] == 2)
    gate.touch()
    assert lab.result(task) == "done"
    attempts = lab.task(task)["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["LOST", "COMPLETED"]
    assert len({attempt["snapshot"] for attempt in attempts}) == 1


def test_a_task_whose_class_says_so_is_cancelled_by_itself_and_nobody_is_asked(lab: Laboratory, gate: Path) -> None:
    task = lab.submit_one("Fragile", {"gate": str(gate)})
    lab.until(lambda: lab.task(task)["message"] == "waiting")
    kill_worker(lab)
    ended = lab.reached(task, "CANCELLED")
    assert ended["reason"] == 'Cancelled by on_crash = "abort".'
    assert [attempt["outcome"] for attempt in ended["attempts"]] == ["LOST"]
    assert lab.records.database["prompts"].find_one({"task": task}) is None


def test_a_device_asks_in_the_middle_of_a_call(lab: Laboratory) -> None:
    task = lab.submit_one("Refilling", {})
    [prompt] = lab.until(lambda: lab.client.prompts("PENDING"))
    assert (prompt["device"], prompt["task"], prompt["category"]) == ("hopper", None, "maintenance")
    lab.cli("answer", prompt["id"], "no powder left")
    assert lab.result(task) == "no powder left"


def test_an_emergency_stop_reaches_a_device_that_waits_for_a_person(lab: Laboratory) -> None:
    task = lab.submit_one("Refilling", {})
    [prompt] = lab.until(lambda: lab.client.prompts("PENDING"))
    lab.cli("emergency-stop", "hopper")
    lab.until(lambda: lab.devices()["hopper"]["message"] == "stopped")
    assert "stopped in an emergency" in str(lab.reached(task, "ERROR")["error"])
    assert "nobody waits" in lab.refused("answer", prompt["id"], "done")
    lab.cli("release", "hopper")
    lab.until(lambda: lab.devices()["hopper"]["state"] == "free")


def test_a_person_records_where_a_sample_was_put(lab: Laboratory) -> None:
    task, sample = start_leaving(lab, "wait")
    lab.until(lambda: lab.task(task)["message"] == "loaded")
    assert f"held by Leaving {task}" in lab.refused("move-sample", sample, "out")
    lab.cli("cancel", task)
    lab.reached(task, "FINISHING")
    assert "storage/3" in lab.cli("move-sample", sample, "storage/3")
    lab.reached(task, "CANCELLED")
    assert sample_of(lab, sample)["position"] == "storage/3"
    assert "no place 'storage/99'" in lab.refused("move-sample", sample, "storage/99")
    lab.cli("move-sample", sample, "out")
    assert sample_of(lab, sample)["history"][-1]["position"] is None
    lab.until(lambda: is_free(lab))


def _replaced(lab: Laboratory, before: Any) -> bool:
    """Whether other managers answer."""
    try:
        return lab.identity("managers") != before and bool(lab.client.status())
    except Exception:  # while they are being started, anything may be missing
        return False
