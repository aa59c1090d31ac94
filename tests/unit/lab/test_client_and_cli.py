"""The HTTP client and the command line against a small HTTP server that answers as told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from answering import FakeLab, lab
from click.testing import CliRunner

from lab.cli import main
from lab.client import ClientError, LabClient

VERSION = {"snapshot": "ab" * 32, "commit": "c0ffee" * 6, "generation": 2}
TASK = {
    "id": "t1",
    "type": "Heating",
    "status": "LOST",
    "pin": VERSION,
    "attempt": 1,
    "started_at": "2030-01-02T03:04:05+00:00",
    "ended_at": None,
    "error": None,
    "reason": None,
    "message": "Its worker died.",
}
DEVICE = {
    "id": "furnace_1",
    "type": "my_lab.devices:Furnace",
    "state": "granted",
    "paused": False,
    "binding": VERSION,
    "holder": "t1",
    "connects": 3,
    "error": None,
    "message": "heating",
}


def test_the_client_sends_token_and_actor(fake: FakeLab) -> None:
    fake.answers["POST /api/refresh"] = (200, {"state": "live"})
    assert LabClient(fake.url, "secret", actor="ann").refresh("main") == {"state": "live"}
    assert fake.seen == [("POST /api/refresh", {"rev": "main", "actor": "ann"}, "Bearer secret")]


def test_the_client_raises_the_labs_own_sentence(fake: FakeLab) -> None:
    fake.answers["POST /api/experiments"] = (422, {"error": "Task 0 is wrong."})
    with pytest.raises(ClientError, match=r"^Task 0 is wrong\.$") as caught:
        LabClient(fake.url).submit({})
    assert caught.value.status == 422


def test_the_client_leaves_out_what_is_not_asked(fake: FakeLab) -> None:
    fake.answers["GET /api/tasks?status=RUNNING"] = (200, [])
    assert LabClient(fake.url).get("tasks", {"status": "RUNNING", "experiment": None}) == []


def test_the_client_quotes_ids(fake: FakeLab) -> None:
    with pytest.raises(ClientError):
        LabClient(fake.url).task("../status?x=1")
    assert fake.seen[0][0] == "GET /api/tasks/..%2Fstatus%3Fx%3D1"


def test_a_lab_that_is_gone_is_told_in_a_sentence() -> None:
    with pytest.raises(ClientError, match="does not answer") as caught:
        LabClient("http://127.0.0.1:1").status()
    assert caught.value.status == 0


def test_an_answer_that_is_no_json_is_told(fake: FakeLab) -> None:
    fake.answers["GET /api/status"] = (200, b"<html>")
    with pytest.raises(ClientError, match="something else than JSON"):
        LabClient(fake.url).status()


def test_no_proxy_of_the_environment_is_used(fake: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    fake.answers["GET /api/status"] = (200, {"lab": "test"})
    assert LabClient(fake.url).status() == {"lab": "test"}


@pytest.mark.parametrize("command", ["status", "tasks", "devices", "versions", "plan", "refresh"])
def test_a_lab_that_does_not_run_is_told_with_exit_code_2(folder: Path, command: str) -> None:
    result = lab(folder, command)
    assert result.exit_code == 2
    assert result.output == "lab: The lab 'test' does not run; start it with `lab launch`.\n"


def test_a_folder_without_a_lab_is_told(tmp_path: Path) -> None:
    result = lab(tmp_path, "status")
    assert result.exit_code == 2
    assert "lab init" in result.output


def test_submit_prints_the_id(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/experiments"] = (200, {"id": "e1"})
    (running / "experiment.json").write_text('{"name": "x"}')
    result = lab(running, "submit", str(running / "experiment.json"), "--json")
    assert json.loads(result.output) == {"id": "e1"}
    assert fake.seen == [("POST /api/experiments", {"name": "x"}, "Bearer secret")]


def test_submit_refused_is_one_sentence_and_exit_code_2(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/experiments"] = (422, {"error": "Task 0 is of an unknown type 'Heatin'."})
    result = lab(running, "submit", "-", stdin="{}")
    assert (result.exit_code, result.output) == (2, "lab: Task 0 is of an unknown type 'Heatin'.\n")


def test_submit_of_no_json_never_reaches_the_lab(running: Path, fake: FakeLab) -> None:
    result = lab(running, "submit", "-", stdin="{name: x}")
    assert result.exit_code == 2
    assert "is not JSON" in result.output
    assert fake.seen == []


def test_status_tells_versions_tasks_and_devices(running: Path, fake: FakeLab) -> None:
    unfinished = {**VERSION, "current": True, "tasks": [TASK]}
    facts = {
        **VERSION,
        "lab": "test",
        "simulation": True,
        "auto_refresh": True,
        "tasks": {"LOST": 1},
        "versions": [unfinished],
        "devices": [DEVICE],
    }
    fake.answers["GET /api/status"] = (200, facts)
    shown = lab(running, "status").output
    for expected in ("test", "generation 2 (commit c0ffeec0)", "1 LOST", "Heating LOST", "furnace_1", "granted"):
        assert expected in shown
    assert json.loads(lab(running, "status", "--json").output) == facts


def test_tasks_are_filtered_by_status(running: Path, fake: FakeLab) -> None:
    fake.answers["GET /api/tasks?status=LOST"] = (200, [TASK])
    shown = lab(running, "tasks", "--status", "lost").output
    assert "Heating" in shown
    assert "Its worker died." in shown


def test_devices_and_versions_are_tables(running: Path, fake: FakeLab) -> None:
    generation = {
        **VERSION,
        "number": 2,
        "state": "current",
        "current": True,
        "unfinished_tasks": 1,
        "activated_at": "2030-01-02T03:04:05+00:00",
        "actor": "ann",
        "reason": "commit",
    }
    fake.answers["GET /api/devices"] = (200, [DEVICE])
    fake.answers["GET /api/versions"] = (200, [generation])
    assert "furnace_1" in lab(running, "devices").output
    assert "abababababab" in lab(running, "versions").output


def test_cancel_falls_back_to_an_experiment(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/experiments/e1/cancel"] = (200, {"status": "RUNNING"})
    result = lab(running, "cancel", "e1")
    assert (result.exit_code, result.output) == (0, "e1 was asked to stop.\n")


def test_move_takes_a_task_or_an_experiment(running: Path, fake: FakeLab) -> None:
    missing = {"error": "There is no task 'e1'; `lab tasks` lists them."}
    fake.answers["POST /api/tasks/t1/move"] = (200, {"pin": VERSION})
    fake.answers["POST /api/tasks/e1/move"] = (404, missing)
    fake.answers["POST /api/experiments/e1/move"] = (200, {"moved": ["t1", "t2"], **VERSION})
    runs = "code version abababababab, generation 2.\n"
    assert lab(running, "move", "t1").output == f"1 task runs {runs}"
    assert lab(running, "move", "e1", "--to", "abab").output == f"2 tasks run {runs}"
    assert [body["to"] for _, body, _ in fake.seen] == ["current", "abab", "abab"]


def test_a_code_version_that_was_never_live_is_told_once(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/tasks/t1/move"] = (404, {"error": "No code version 'x' was ever live."})
    result = lab(running, "move", "t1", "--to", "x")
    assert (result.exit_code, result.output) == (2, "lab: No code version 'x' was ever live.\n")


def test_edit_reads_values_as_json_or_text(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/tasks/t1/edit"] = (200, {"parameters": {"minutes": 30}})
    said = lab(running, "edit", "t1", "minutes=30", "name=a=b", "--remove", "rate").output
    assert said == 'Task t1 has the parameters {"minutes": 30}.\n'
    (_, body, _) = fake.seen[0]
    assert (body["parameters"], body["remove"]) == ({"minutes": 30, "name": "a=b"}, ["rate"])


@pytest.mark.parametrize(("arguments", "said"), [([], "Nothing is to be changed"), (["x"], "write it as KEY=VALUE")])
def test_an_edit_that_says_no_change_is_refused(running: Path, arguments: list[str], said: str) -> None:
    result = lab(running, "edit", "t1", *arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("command", "path"), [("pause", "pause"), ("release", "release"), ("emergency-stop", "emergency_stop")]
)
def test_a_device_may_have_any_name(running: Path, fake: FakeLab, command: str, path: str) -> None:
    fake.answers[f"POST /api/devices/furnace%201%2F2/{path}"] = (200, DEVICE)
    assert lab(running, command, "furnace 1/2").exit_code == 0


def test_retry_tells_the_next_attempt(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/tasks/t1/retry"] = (200, {"status": "READY", "attempt": 1})
    assert lab(running, "retry", "t1").output == "Task t1 is READY for attempt 2.\n"


REFRESH = {
    **VERSION,
    "outcome": "live",
    "steps": [{"step": "promoted", "seconds": 0.25}],
    "plan": {
        "files": {"added": [], "changed": ["helpers.py"], "environment": [["numpy", "1.0", None]]},
        "tasks": {"changed": ["Heating"]},
        "devices": None,
        "drain_set": [
            {"device": "arm", "holder": None, "task": None},
            {"device": "furnace_1", "holder": "t1", "task": "Heating"},
        ],
        "queued": [{"task": "t2", "type": "Dosing", "reason": "parameter 'mass' is missing"}],
        "removed_in_use": [{"name": "table/1", "why": "sample S1 stands there"}],
    },
}


def test_a_refresh_tells_what_it_changed(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/refresh"] = (200, REFRESH)
    result = lab(running, "refresh")
    assert result.exit_code == 0
    for expected in (
        "Live: generation 2 (commit c0ffeec0), after 0.25 s.",
        "helpers.py",
        "numpy 1.0 -> absent",
        "arm at once",
        "furnace_1 when Heating t1 releases it",
        "Dosing t2: parameter 'mass' is missing",
        "table/1: sample S1 stands there",
    ):
        assert expected in result.output


def test_a_plan_without_changes_says_so(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/plan"] = (200, {"drain_set": [], "queued": [], "files": None})
    assert lab(running, "plan").output == "Nothing changes.\n"


def test_a_rejected_refresh_exits_with_2(running: Path, fake: FakeLab) -> None:
    rejected = {"outcome": "rejected", "steps": [], "error": "tasks.py:3: invalid syntax [here]"}
    fake.answers["POST /api/refresh"] = (200, rejected)
    result = lab(running, "refresh")
    assert result.exit_code == 2
    assert "Rejected, the lab goes on as it was: tasks.py:3: invalid syntax [here]" in result.output


@pytest.mark.parametrize(
    ("outcome", "said"), [("unchanged", "commit c0ffeec0 is current already"), ("superseded", "newer code came")]
)
def test_a_refresh_that_need_not_go_live_is_done(running: Path, fake: FakeLab, outcome: str, said: str) -> None:
    fake.answers["POST /api/refresh"] = (200, {**VERSION, "outcome": outcome, "steps": []})
    result = lab(running, "refresh")
    assert (result.exit_code, said in result.output) == (0, True)


@pytest.mark.parametrize("outcome", ["rejected", "undone", "interrupted", "superseded"])
@pytest.mark.parametrize("command", [["refresh"], ["rollback", "1"]])
def test_what_did_not_go_live_says_why(running: Path, fake: FakeLab, command: list[str], outcome: str) -> None:
    ended = {"outcome": outcome, "steps": [], "error": "Install numpy 1.0 [again]."}
    fake.answers[f"POST /api/{command[0]}"] = (200, ended)
    result = lab(running, *command)
    assert result.exit_code == (0 if (command, outcome) == (["refresh"], "superseded") else 2)
    assert result.output.startswith(outcome.capitalize())
    assert "Install numpy 1.0 [again]." in result.output


def test_a_collection_tells_what_stays_and_what_goes(running: Path, fake: FakeLab) -> None:
    kept = {"snapshot": "a" * 64, "keep": True, "reason": "tasks ran it", "size": 2048}
    gone = {"snapshot": "b" * 64, "keep": False, "reason": "nothing refers to it", "size": 1024}
    fake.answers["POST /api/collect"] = (200, {"decisions": [kept, gone]})
    lines = lab(running, "collect", "--dry-run").output.splitlines()
    assert any(line.split() == ["aaaaaaaaaaaa", "kept", "tasks", "ran", "it", "2"] for line in lines)
    assert any(line.split() == ["bbbbbbbbbbbb", "collected", "nothing", "refers", "to", "it", "1"] for line in lines)


def test_every_command_has_help_with_an_example() -> None:
    for name in main.commands:
        shown = CliRunner().invoke(main, [name, "--help"]).output
        assert "Example" in shown, name
        assert f"lab {name}" in shown, name


def test_samples_and_blame_ask_for_what_was_named(running: Path, fake: FakeLab) -> None:
    since = {"current": VERSION, "tasks": [], "drivers": [], "files": []}
    facts = {"sample": {"id": "1", "name": "s 1", "position": None}, "tasks": [], "versions": [], "since": since}
    fake.answers["GET /api/samples/s%201/blame?since=true"] = (200, facts)
    fake.answers["GET /api/samples?version=3f9a"] = (200, [])
    assert json.loads(lab(running, "blame", "s 1", "--since", "--json").output) == facts
    assert "is outside the laboratory" in lab(running, "blame", "s 1", "--since").output
    assert lab(running, "samples", "--version", "3f9a").output == "no samples\n"


def test_a_sample_that_does_not_exist_is_told_in_a_sentence(running: Path, fake: FakeLab) -> None:
    fake.answers["GET /api/samples/s9/blame"] = (404, {"error": "There is no sample 's9'; `lab samples` lists them."})
    result = lab(running, "blame", "s9")
    assert (result.exit_code, result.output) == (2, "lab: There is no sample 's9'; `lab samples` lists them.\n")


def test_an_answer_is_sent_with_its_note(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/prompts/3f9a/answer"] = (200, {"answer": "no", "text": "Is it whole?"})
    shown = lab(running, "answer", "3f9a", "no", "--note", "a crack").output
    assert shown == "Answered 'no' to: Is it whole?\n"
    body = fake.seen[0][1]
    assert (body["answer"], body["note"]) == ("no", "a crack")


def test_only_prompts_that_wait_are_listed_unless_all_are_wanted(running: Path, fake: FakeLab) -> None:
    fake.answers["GET /api/prompts?status=PENDING"] = fake.answers["GET /api/prompts"] = (200, [])
    lab(running, "prompts")
    assert lab(running, "prompts", "--all").output == "nobody waits for an answer\n"
    assert [call for call, _, _ in fake.seen] == ["GET /api/prompts?status=PENDING", "GET /api/prompts"]


@pytest.mark.parametrize(
    ("status", "said"), [("COMPLETED", "is skipped"), ("WAITING", "will be skipped when its turn comes")]
)
def test_skipping_says_whether_it_is_done(running: Path, fake: FakeLab, status: str, said: str) -> None:
    fake.answers["POST /api/tasks/t1/skip"] = (200, {"status": status})
    assert lab(running, "skip", "t1").output == f"Task t1 {said}.\n"


def test_resuming_says_how_many_tasks_run_again(running: Path, fake: FakeLab) -> None:
    fake.answers["POST /api/experiments/e1/resume"] = (200, {"id": "e1", "retried": ["t1", "t2"]})
    assert lab(running, "resume", "e1").output == "2 failed tasks run again.\n"


@pytest.mark.parametrize(("typed", "sent"), [("storage/3", "storage/3"), ("out", None)])
def test_a_sample_that_was_moved_by_hand_is_recorded(running: Path, fake: FakeLab, typed: str, sent: Any) -> None:
    fake.answers["POST /api/samples/quartz-7/move"] = (200, {"name": "quartz-7", "position": sent})
    assert lab(running, "move-sample", "quartz-7", typed).output.startswith("Sample quartz-7 is ")
    assert fake.seen[0][1]["position"] == sent
