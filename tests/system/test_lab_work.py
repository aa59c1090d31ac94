"""Work on a launched lab: an experiment from submission to storage, and submissions that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from laboratory import Laboratory

from lab.catalog import Catalog
from lab.client import ClientError

pytestmark = pytest.mark.system

DOSING = {"type": "Dosing", "parameters": {"powder": "quartz", "mass_mg": 250}, "samples": ["a", "b"]}
HEATING = {"type": "Heating", "parameters": {"temperature_c": 90, "minutes": 1}, "samples": ["a", "b"]}
SCANNING = {"type": "Characterising", "parameters": {"start": 20, "end": 40}, "samples": ["a", "b"]}
ENDING = {"type": "Ending", "parameters": {}, "samples": ["a", "b"]}
SAMPLES = [{"name": "a", "tags": ["first"]}, {"name": "b"}]


def experiment(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "test", "samples": SAMPLES, "tasks": list(tasks)}


def in_a_row(*tasks: dict[str, Any]) -> dict[str, Any]:
    """Each task after the one before."""
    return experiment(*({**task, "prev_tasks": [number - 1] if number else []} for number, task in enumerate(tasks)))


def complete(lab: Laboratory, identifier: str) -> dict[str, Any]:
    """Wait for the end of an experiment, which has to be a good one."""
    lab.until(lambda: lab.client.experiment(identifier)["status"] != "RUNNING")
    done = lab.client.experiment(identifier)
    assert done["status"] == "COMPLETED", done
    return done


@pytest.fixture(scope="module")
def done(shared_lab: Laboratory) -> dict[str, Any]:
    """An experiment of four tasks on two samples, submitted with the command line, completed."""
    text = json.dumps(in_a_row(DOSING, HEATING, SCANNING, ENDING))
    return complete(shared_lab, json.loads(shared_lab.cli("submit", "-", "--json", stdin=text))["id"])


def test_tasks_run_in_order_and_return_what_they_found(done: dict[str, Any]) -> None:
    dosing, heating, scanning, ending = done["tasks"]
    assert [dosing["result"]["masses"][name]["dispensed_mg"] for name in "ab"] == pytest.approx([250, 250], rel=0.05)
    assert heating["result"]["peak_temperature_c"] == pytest.approx(90, abs=0.01)
    assert [scanning["result"][name]["phases"] for name in "ab"] == [["quartz"], ["quartz"]]
    assert set(ending["result"]["places"]) == {"a", "b"}
    for before, after in zip(done["tasks"], done["tasks"][1:], strict=False):
        assert before["ended_at"] <= after["started_at"]


def test_samples_end_where_the_last_task_says(done: dict[str, Any]) -> None:
    places = {sample["name"]: sample["position"] for sample in done["samples"]}
    assert places == done["tasks"][-1]["result"]["places"]
    assert all(place.startswith("storage/") for place in places.values())


def test_every_attempt_device_call_and_move_of_a_sample_names_its_code(lab: Laboratory, done: dict[str, Any]) -> None:
    pin = done["tasks"][0]["pin"]
    code = {each["number"]: (each["commit"], each["snapshot"]) for each in lab.client.get("versions")}
    assert all(task["pin"] == pin for task in done["tasks"])
    assert (pin["commit"], pin["snapshot"]) == code[pin["generation"]]
    tasks = {task["id"] for task in done["tasks"]}
    lab.until(lambda: tasks - {done["tasks"][-1]["id"]} <= {call["task"] for call in lab.records.calls.find()})
    drivers = Catalog(lab.records).get(pin["snapshot"]).drivers
    for call in lab.records.calls.find({"task": {"$in": list(tasks)}}):
        # A driver that did not change stays in the process of the generation that connected it.
        assert (call["commit"], call["snapshot"]) == code[call["generation"]], call
        assert (call["digest"], call["ok"]) == (drivers[call["device"]], True), call
    for task in done["tasks"]:
        assert [{name: attempt[name] for name in pin} for attempt in task["attempts"]] == [pin], task
    steps = [step for sample in done["samples"] for step in sample["history"]]
    assert steps and all({name: step[name] for name in pin} == pin for step in steps)


def test_a_sample_leads_to_its_tasks_and_their_code_and_the_code_to_its_samples(
    lab: Laboratory, done: dict[str, Any]
) -> None:
    sample, pin = done["samples"][0], done["tasks"][0]["pin"]
    told = json.loads(lab.cli("blame", sample["id"], "--since", "--json"))
    tasks = [task for task in told["tasks"] if task["parent"] is None]
    assert [task["task"] for task in tasks] == [task["id"] for task in done["tasks"]]
    assert [task["parameters"] for task in tasks] == [task["parameters"] for task in done["tasks"]]
    assert all({name: task[name] for name in pin} == pin and task["author"] for task in told["tasks"])
    assert (told["since"]["tasks"], told["since"]["drivers"]) == ([], [])
    made = json.loads(lab.cli("samples", "--version", pin["snapshot"][:12], "--json"))
    assert {each["id"] for each in done["samples"]} <= {each["id"] for each in made}
    assert "There is no sample 'nothing'" in lab.refused("blame", "nothing")


def test_everything_is_given_back_at_the_end(lab: Laboratory, done: dict[str, Any]) -> None:
    tasks = [task["id"] for task in done["tasks"]]
    held = {"holder": {"$in": tasks}}
    lab.until(lambda: not lab.records.devices.count_documents(held) + lab.records.positions.count_documents(held))


def test_a_cancelled_task_ends_and_gives_back_its_furnace(lab: Laboratory, gate: Path) -> None:
    task = lab.hold("furnace_1", gate)
    lab.cli("cancel", task)
    assert set(lab.reached(task, "CANCELLED")["result"]) == {"early"}
    lab.until(lambda: lab.devices()["furnace_1"]["state"] == "free")


def test_stopping_is_refused_while_a_task_is_at_work(lab: Laboratory, gate: Path) -> None:
    task = lab.hold("furnace_1", gate)
    assert "at work" in lab.refused("stop")
    gate.touch()
    lab.result(task)


def test_a_second_launch_is_refused(lab: Laboratory) -> None:
    before = lab.identity("supervisor")
    assert "runs already" in lab.refused("launch", "--detach")
    assert lab.identity("supervisor") == before


REFUSED = {
    "unknown type": (experiment({**DOSING, "type": "Dosin"}), "Dosin.*Dosing"),
    "cycle": (experiment({**DOSING, "prev_tasks": [1]}, {**ENDING, "prev_tasks": [0]}), "circle"),
    "missing parameter": (experiment({**DOSING, "parameters": {"powder": "quartz"}}), "mass_mg"),
    "wrong sample": (experiment({**DOSING, "samples": ["c"]}), "'c'"),
}


@pytest.mark.parametrize(("submitted", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_submission_is_refused_in_one_sentence_and_the_lab_goes_on(
    lab: Laboratory, submitted: dict[str, Any], told: str
) -> None:
    def stored() -> list[int]:
        return [lab.records.database[name].count_documents({}) for name in ("experiments", "tasks", "samples")]

    before = stored()

    with pytest.raises(ClientError, match=told) as refused:
        lab.client.submit(submitted)
    assert 400 <= refused.value.status < 500
    assert lab.refused("submit", "-", stdin=json.dumps(submitted)) == f"lab: {refused.value}\n"
    assert str(refused.value).count(". ") == 0 and str(refused.value).endswith((".", "?"))

    assert stored() == before
    complete(lab, lab.client.submit(in_a_row({**ENDING, "parameters": {"hand_out": True}})))
