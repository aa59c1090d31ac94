"""What people see of the facts, on a terminal of 80 columns unless a test says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from lab import display
from lab.cli import main

TASK_ID = "665f0c3b9a7e4d1f2a3b4c5d"
PIN: dict[str, Any] = {
    "snapshot": "3f9a81cc02d7" + "0" * 52,
    "generation": 12,
    "commit": "c0ffee01" + "0" * 32,
    "dirty": True,
    "environment": "e" * 64,
}
STARTED, ENDED = "2020-01-02T03:04:05+00:00", "2020-01-02T04:04:05+00:00"


def shown(show: Any, facts: Any, width: int = 80) -> list[str]:
    """The lines that are printed."""
    console = Console(width=width, highlight=False, force_terminal=False)
    with console.capture() as captured:
        show(console, facts)
    return [line.rstrip() for line in captured.get().splitlines()]


QUIET: dict[str, Any] = {
    "lab": "ours",
    "generation": None,
    "auto_refresh": False,
    "simulation": True,
    "tasks": {},
    "versions": [],
    "devices": [],
}


def device(name: str, **changes: Any) -> dict[str, Any]:
    free = {"id": name, "state": "free", "paused": False, "binding": PIN, "holder": None, "connects": 1}
    return {**free, "error": None, "message": "", **changes}


def process(**changes: Any) -> dict[str, Any]:
    running: dict[str, Any] = {"name": "worker-3f9a81cc02d7", "state": "running", "why": None, "spawned_because": []}
    return {**running, **changes}


def task(**changes: Any) -> dict[str, Any]:
    plain = {"id": TASK_ID, "type": "Heating", "status": "RUNNING", "pin": PIN, "started_at": STARTED}
    return {**plain, "error": None, "reason": None, "message": "", **changes}


def test_a_device_takes_one_line_though_a_task_holds_it() -> None:
    devices = [device("powder_doser", state="granted", holder=TASK_ID, connects=10), device("furnace_1")]
    _, _, doser, furnace = shown(display.show_devices, devices)
    assert doser.split() == ["powder_doser", "granted", "12", "c0ffee01", TASK_ID, "10"]
    assert furnace.split() == ["furnace_1", "free", "12", "c0ffee01", "1"]


def test_it_is_told_of_each_device_whether_it_pretends() -> None:
    devices = [device("arm", simulated=True), device("furnace", simulated=False)]
    _, _, arm, furnace = shown(display.show_devices, devices)
    assert (arm.split()[4], furnace.split()[4]) == ("simulated", "real")


def test_it_is_told_when_a_device_in_error_is_tried_again() -> None:
    retry = {"failures": 3, "at": STARTED}
    broken = device("arm", state="error", error="cut\nin two", retry=retry)
    assert shown(display.show_devices, [broken])[-1].startswith("arm: cut; tried again at 01-02 ")
    assert shown(display.show_devices, [{**broken, "paused": True}])[-1] == "arm: cut"
    assert shown(display.show_devices, [{**broken, "state": "free"}])[-1] == "arm: cut"


def test_a_status_says_when_devices_are_real() -> None:
    real = {**QUIET, "simulation": False, "simulate": ["furnace_*", "overn_*"], "simulate_unmatched": ["overn_*"]}
    line = shown(display.show_status, real, 200)[0]
    assert line.endswith(
        "devices are real, all but furnace_*, overn_*; simulate in lab.toml matches no device with overn_*"
    )
    assert shown(display.show_status, QUIET)[0].endswith("auto_refresh off, simulated")


def test_what_a_device_says_is_beside_it_where_there_is_room_and_else_below() -> None:
    says = [device("furnace_1", message="heating to 900 °C, 412 °C now, 3 of 12 hours")]
    assert shown(display.show_devices, says)[-1] == "furnace_1: heating to 900 °C, 412 °C now, 3 of 12 hours"
    assert (
        shown(display.show_devices, says, 160)[-1]
        .split("1 ", 2)[-1]
        .endswith("heating to 900 °C, 412 °C now, 3 of 12 hours")
    )
    assert len(shown(display.show_devices, says, 160)) == 3


def test_a_task_is_told_in_a_few_lines_that_fit() -> None:
    attempt = {"attempt": 1, "outcome": "LOST", "worker": "w", "started_at": STARTED, "ended_at": ENDED, **PIN}
    request = {"wants": [{"name": "my_lab.devices:Furnace"}], "status": "FULFILLED", "waits_for": None}
    facts = task(
        experiment="e1",
        parent=None,
        samples=["s1"],
        parameters={"temperature_c": 900, "minutes": 5},
        attempts=[attempt],
        subtasks=[task(type="Moving", status="COMPLETED")],
        requests=[{**request, "_id": "r1", "grant": {"devices": [{"fence": 3}]}}],
        result=None,
    )
    lines = shown(display.show_task, facts)
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 10
    told = "\n".join(lines)
    for expected in (TASK_ID, "temperature_c: 900, minutes: 5", "Moving COMPLETED", "1: LOST", "3f9a81cc02d7"):
        assert expected in told


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": "queued", "why": "it waits for 120 MB"}, "queued, it waits for 120 MB"),
        ({"state": "restarting", "why": "killed by signal 9"}, "restarting, killed by signal 9"),
        ({"state": "restarting"}, "restarting"),
        ({"why": "killed by signal 9"}, "started again: killed by signal 9"),
        ({"spawned_because": ["my_lab.x left a thread"]}, "spawned, not forked, because my_lab.x left a thread"),
    ],
)
def test_a_process_that_does_not_simply_run_says_why(facts: dict[str, Any], expected: str) -> None:
    odd = process(**facts)
    said = shown(display.show_processes, [odd, process(name="plain")], 160)
    assert expected in said[-1]
    assert not [line for line in said if "plain" in line]
    generation = {
        **PIN,
        "number": 12,
        "state": "current",
        "current": True,
        "unfinished_tasks": 0,
        "actor": "ann",
        "reason": "commit",
        "activated_at": STARTED,
        "processes": [odd, process(name="plain")],
    }
    assert f"worker-3f9a81cc02d7: {expected}" in " ".join(shown(display.show_versions, [generation]))


def test_what_is_alike_of_many_processes_is_said_once() -> None:
    left = ["my_lab.x left a thread"]
    alike = [process(name=name, spawned_because=left) for name in ("driver-arm", "worker-1", "driver-xrd")]
    _, _, line = shown(display.show_processes, alike, 120)
    assert line == "worker-1 and 2 more  spawned, not forked, because my_lab.x left a thread"


def test_a_lab_whose_processes_simply_run_says_nothing_of_them() -> None:
    assert shown(display.show_processes, [process()]) == []


MADE: dict[str, Any] = {
    "task": TASK_ID,
    "type": "Heating",
    "parent": None,
    "parameters": {"temperature_c": 900},
    "attempt": 1,
    "outcome": "COMPLETED",
    "started_at": STARTED,
    "author": "Ann <ann@example.org>",
    "message": "Heat",
    **PIN,
}
BLAME: dict[str, Any] = {
    "sample": {"id": "s" * 24, "name": "quartz-7", "position": "storage/1", "experiment": "e"},
    "tasks": [MADE, {**MADE, "type": "Moving", "parent": TASK_ID}],
    "versions": [{**PIN, "collected": None}],
}


def test_blame_tells_code_version_commit_author_and_parameters_of_each_task() -> None:
    lines = shown(display.show_blame, BLAME)
    assert lines[0] == f"quartz-7 ({'s' * 24}) is in storage/1"
    (heating,) = (line for line in lines if line.startswith("Heating  "))
    for expected in ("COMPLETED", "3f9a81cc02d7", "c0ffee01, dirty", "Ann"):
        assert expected in heating
    assert "Heating: temperature_c: 900" in lines
    assert any(line.startswith("  Moving") for line in lines)
    assert max(map(len, lines)) <= 80


def test_blame_says_when_code_is_collected_and_when_there_is_none() -> None:
    gone = {**BLAME, "versions": [{**PIN, "collected": "Code version 3f9a was collected."}]}
    assert shown(display.show_blame, gone)[-1] == "Code version 3f9a was collected."
    nothing = {**BLAME, "tasks": [], "versions": []}
    assert shown(display.show_blame, nothing)[-1] == "No task has had it yet, so no code has made it."


def test_blame_names_what_has_changed_since() -> None:
    changed = {"what": "changed", "snapshot": PIN["snapshot"], "generation": 12}
    since = {
        "current": {**PIN, "generation": 15, "dirty": False},
        "tasks": [{"type": "Heating", "class": "my_lab.tasks:Heating", **changed}],
        "drivers": [{"device": "furnace_1", "class": "my_lab.devices:Furnace", **changed, "what": "removed"}],
        "files": [{"generation": 12, "added": [], "removed": [], "changed": ["my_lab/ramps.py"], "environment": []}],
    }
    assert shown(display.show_blame, {**BLAME, "since": since}, 120)[-4:] == [
        "Changed up to what is current, generation 15 (commit c0ffee01):",
        "  task Heating (my_lab.tasks:Heating) changed since generation 12",
        "  driver of furnace_1 (my_lab.devices:Furnace) removed since generation 12",
        "  files changed since generation 12: my_lab/ramps.py",
    ]
    unchanged = {**since, "tasks": [], "drivers": []}
    assert (
        "No code that made quartz-7 behaves differently" in shown(display.show_blame, {**BLAME, "since": unchanged})[-2]
    )


def test_samples_are_listed_with_the_versions_that_made_them() -> None:
    sample = {"id": "s" * 24, "name": "quartz-7", "position": "storage/1", "made_by": [MADE, MADE]}
    assert shown(display.show_samples, [sample])[-1].split() == ["s" * 24, "quartz-7", "storage/1", "12", "c0ffee01"]
    assert shown(display.show_samples, []) == ["no samples"]


def test_no_summary_of_a_command_is_cut() -> None:
    listed = CliRunner().invoke(main, ["--help"], env={"COLUMNS": "80"}).output.partition("Commands:")[2]
    assert len(listed.split("\n")) > len(main.commands)
    assert "..." not in listed


HELD = {
    "device": "furnace_1",
    "paused": False,
    "holder": "t" * 24,
    "task": "Heating",
    "status": "RUNNING",
    "since": "2024-05-04T10:00:00+00:00",
    "samples": [{"id": "s1", "name": "quartz-7", "position": "furnace_1/slot/1"}],
    "expected_until": "2024-05-04T12:30:00+00:00",
    "estimated_from": 7,
}
PLAN = {
    "files": {"added": [], "removed": [], "changed": ["my_lab/ramps.py"], "environment": [["numpy", "1.0", "2.0"]]},
    "positions": {"added": ["table/3"], "removed": []},
    "why": {"devices": {"furnace_2": ["Furnace -> ramps"], "furnace_1": ["Furnace -> ramps"], "xrd": []}, "tasks": {}},
    "drain_set": [HELD, {"device": "arm", "holder": None, "paused": True}, {"device": "xrd", "holder": None}],
    "affected": [{"task": "q" * 24, "type": "Heating", "status": "READY"}],
    "queued": [{"task": "u" * 24, "type": "Heating", "reason": "minutes is missing"}],
    "refused": [{"reason": "This code is not signed: sign it.", "path": None, "line": None}],
}


def test_a_plan_fits_a_terminal_and_tells_everything() -> None:
    lines = shown(display.show_plan, PLAN)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for expected in (
        "refused This code is not signed: sign it.",
        "environment numpy 1.0 -> 2.0",
        "positions added table/3",
        "why devices furnace_1, furnace_2: Furnace -> ramps",
        f"furnace_1 when Heating {'t' * 24} releases it",
        "as 7 completed tasks tell",
        "sample quartz-7 in furnace_1/slot/1",
        "arm after `lab release arm`: it is paused",
        "xrd at once",
        f"runs new code Heating {'q' * 24}, which is READY",
        "minutes is missing",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"expected_until": None, "estimated_from": 0}, "until when is not known"),
        ({"status": "LOST", "expected_until": None}, "LOST: it waits for `lab retry` or `lab cancel`"),
        ({"estimated_from": 1}, "as 1 completed task tells"),
    ],
)
def test_a_plan_says_what_it_expects_of_who_holds_a_device(fields: dict[str, Any], said: str) -> None:
    text = " ".join(" ".join(shown(display.show_plan, {"drain_set": [{**HELD, **fields}], "queued": []}, 200)).split())
    assert said in text


def test_versions_say_why_they_are_not_drained_and_what_strands_them() -> None:
    generation = {
        **PIN,
        "number": 12,
        "state": "stranded",
        "current": False,
        "unfinished_tasks": 1,
        "activated_at": "2024-05-04T10:00:00+00:00",
        "actor": "ann",
        "reason": "commit",
        "needed_by": {"tasks": [{"id": "t1", "type": "Heating", "status": "LOST"}], "devices": ["furnace_1"]},
        "stranded_by": [["pydantic", "2.11", "2.12"]],
    }
    text = " ".join(" ".join(shown(display.show_versions, [generation])).split())
    assert "needed by Heating t1 (LOST), the driver of furnace_1" in text
    assert "install again what it needs (pydantic 2.11 -> 2.12), or cancel its tasks" in text


def test_the_status_names_another_environment_and_what_it_strands() -> None:
    status = {
        **PIN,
        "lab": "ours",
        "simulation": True,
        "auto_refresh": False,
        "environment": [["pydantic", "2.11", "2.12"]],
        "stranded": [
            {
                "snapshot": "3f9a81cc02d7" + "0" * 52,
                "environment": [["pydantic", "2.11", "2.12"]],
                "tasks": [{"id": "t1", "type": "Heating"}],
            }
        ],
        "tasks": {},
        "versions": [],
        "devices": [],
    }
    lines = shown(display.show_status, status, 200)
    assert lines[1].startswith("environment changed: pydantic 2.11 -> 2.12; no new code goes live until that is undone")
    assert lines[2] == "stranded: Heating t1 of code version 3f9a81cc02d7 (pydantic 2.11 -> 2.12)"


def test_a_task_says_for_what_it_waits_that_a_person_has_to_do() -> None:
    asks = [{"id": "3f9a81cc02d7", "text": "Is it whole?", "options": ["yes", "no"]}]
    lines = shown(display.show_tasks, [task(prompts=asks, message="loading")], 200)
    assert lines[-1].endswith("waits for a person: Is it whole? (lab answer 3f9a81cc02d7)")


def test_a_prompt_is_shown_with_who_asks_and_what_may_be_answered() -> None:
    asked = {"id": "3f9a81cc02d7", "status": "PENDING", "asked_at": STARTED, "category": "maintenance"}
    prompt = {
        **asked,
        "device": "arm",
        "task": None,
        "options": ["yes", "no"],
        "answer": None,
        "actor": None,
        "note": "",
        "text": "Is it whole?",
    }
    told = " ".join(shown(display.show_prompts, [prompt], 160))
    for expected in ("3f9a81cc02d7", "maintenance", "arm", "yes, no", "Is it whole?"):
        assert expected in told


def test_how_far_a_task_is_stands_before_what_it_does() -> None:
    lines = shown(display.show_tasks, [task(progress=0.4, message="heating")], 160)
    assert lines[-1].endswith("40%, heating")
    assert not shown(display.show_tasks, [task(progress=1.0, status="COMPLETED")], 160)[-1].endswith("100%")


def test_a_note_on_a_task_is_shown_first() -> None:
    noted = task(status="COMPLETED", note="Skipped by ann.", error="ValueError: too hot")
    assert shown(display.show_tasks, [noted], 160)[-1].endswith("Skipped by ann.")


def test_a_task_says_what_it_waits_for_and_who_has_it() -> None:
    lines = shown(display.show_tasks, [task(prompts=[], waits_for="arm is held by task t2.", message="loading")], 200)
    assert lines[-1].endswith("arm is held by task t2.")


def test_the_status_tells_of_tasks_that_wait_for_each_other() -> None:
    requests = [{"id": "r1", "task": "t1", "waits_for": "This is a deadlock: it waits for arm, held by task t2."}]
    status = {**QUIET, "deadlocks": [{"tasks": ["t1", "t2"], "requests": requests}]}
    lines = shown(display.show_status, status, 200)
    assert lines[1].startswith("deadlock: task t1: This is a deadlock: it waits for arm, held by task t2.")


def test_settings_are_shown_as_they_are_written_and_the_file_they_come_from_once() -> None:
    file = f"/home/scientist/{'very/' * 20}long/lab.toml"
    settings = [
        {"key": "general.auto_refresh", "value": True, "origin": file},
        {"key": "general.name", "value": "ours", "origin": file},
        {"key": "policy.signers", "value": ["a", "b"], "origin": "default"},
        {"key": "code.remote", "value": None, "origin": "default"},
    ]
    assert [line.split() for line in shown(display.show_settings, settings)] == [
        [file],
        ["setting", "value", "from"],
        ["general.auto_refresh", "true", "lab.toml"],
        ["general.name", "ours", "lab.toml"],
        ["policy.signers", '["a",', '"b"]', "default"],
        ["code.remote", "default"],
    ]
