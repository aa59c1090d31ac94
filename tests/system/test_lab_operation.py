"""A launched lab looked after from outside: while it runs, and when it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from laboratory import Laboratory, laboratory

from hotswap.archive import load as load_archive
from hotswap.process import Identity
from hotswap.store import Store
from lab.migrations import CURRENT, version_of
from lab.services.access import database_at_rest
from lab.settings.config import load

pytestmark = pytest.mark.system


ALARMS = """
[alarms]
in_simulation = true

[alarms.command]
run = ["sh", "-c", "cat >> {folder}/rung"]
"""


SECRET = "hidden-in-the-address"


@pytest.fixture(scope="module")
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A lab that these tests may stop; each leaves it running."""
    folder = tmp_path_factory.mktemp("operated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOTSWAP_LAB__ALARMS__WEBHOOK__URL", f"http://127.0.0.1:1/{SECRET}")
        with laboratory(folder, ALARMS.format(folder=folder)) as launched:
            yield launched


def facts(lab: Laboratory) -> dict[str, Any]:
    """What the doctor says; it has to find nothing."""
    report = json.loads(lab.cli("doctor", "--json"))
    assert report["findings"] == []
    return {fact["what"]: fact["check"] for fact in report["facts"]}


def test_the_doctor_finds_nothing_in_a_lab_that_runs_or_does_not(own_lab: Laboratory) -> None:
    running = facts(own_lab)
    assert "the managers answer" in running
    own_lab.cli("stop")
    stopped = facts(own_lab)
    own_lab.launch()
    assert "my_lab does not run" in stopped
    for report in (running, stopped):
        assert {"it has change streams", "git tells of each commit"} <= report.keys()
        assert report["this machine and the database agree"] == "clock"
        assert {"broker", "documents", "versions"} <= set(report.values())
        assert any(fact.startswith("generation 1 is current, code version ") for fact in report)
    assert any(fact.startswith("Valkey ") for fact in running)


def test_the_doctor_names_what_is_wrong_and_exits_with_one(own_lab: Laboratory) -> None:
    own_lab.records.devices.update_one({"_id": "furnace_1"}, {"$set": {"paused": True}})
    try:
        run = own_lab.run("doctor", "--json")
        assert run.returncode == 1
        (finding,) = json.loads(run.stdout)["findings"]
        assert (finding["what"], finding["mend"]) == (
            "furnace_1 is paused, and nothing says by whom",
            "look at it, then `lab release furnace_1`",
        )
    finally:
        own_lab.cli("release", "furnace_1")


def test_a_lost_task_rings_although_the_managers_are_killed_too(own_lab: Laboratory, gate: Path) -> None:
    rung = own_lab.folder.parent / "rung"
    assert own_lab.cli("alarms", "test", "command") == "command: sent\n"
    assert "nothing is wrong" in rung.read_text()
    task = own_lab.hold("furnace_2", gate)
    claim = own_lab.task(task)["claim"]
    worker = own_lab.records.workers.find_one({"_id": claim["worker"] if claim else ""})
    assert worker is not None
    Identity.from_dict(worker["identity"]).kill()
    own_lab.identity("managers").kill()
    own_lab.until(lambda: f"Task {task} is LOST" in rung.read_text())
    assert rung.read_text().count(f"[my_lab] Task {task}") == 1
    own_lab.until(lambda: json.loads(own_lab.run("alarms", "list", "--json").stdout or "[]"))
    (alarm,) = json.loads(own_lab.cli("alarms", "list", "--json"))
    assert (alarm["kind"], alarm["subject"]) == ("task.lost", task)
    own_lab.cli("cancel", task)


def test_an_experiment_is_archived_and_its_code_exported(own_lab: Laboratory, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    own_lab.result(own_lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(tmp_path / "gate")}))
    experiment = own_lab.until(lambda: own_lab.records.experiments.find_one({"completed_at": {"$ne": None}}))
    assert experiment is not None
    (archived,) = json.loads(own_lab.cli("archive", experiment["_id"], "--json"))["experiments"]
    assert archived["counts"]["tasks"] == 1
    archive = own_lab.records.database.client[f"{own_lab.records.database.name.removesuffix('_sim')}_archive_sim"]
    assert archive["experiments"].find_one({"_id": experiment["_id"]}) is not None
    snapshot = own_lab.client.status()["snapshot"]
    assert "from the store" in own_lab.cli("export", snapshot[:12], str(tmp_path / "code"))
    assert load_archive(Store(tmp_path / "store"), tmp_path / "code").snapshot.id == snapshot


def test_settings_and_logs_are_told_without_a_secret(own_lab: Laboratory) -> None:
    settings = {each["key"]: each for each in json.loads(own_lab.cli("config", "--json"))}
    assert settings["alarms.in_simulation"]["value"] is True
    assert settings["general.state_dir"]["origin"] == "LAB_STATE_DIR"
    lines = [json.loads(line) for line in own_lab.cli("logs", "managers", "-n", "1000", "--json").splitlines()]
    assert any("The HTTP API answers" in line["text"] for line in lines)
    assert own_lab.token not in str(lines)


def test_a_lab_at_work_is_backed_up_and_launched_again_from_the_backup(
    own_lab: Laboratory, gate: Path, tmp_path: Path
) -> None:
    done = own_lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(tmp_path)})
    result = own_lab.result(done)
    held = own_lab.hold("furnace_3", gate)
    own_lab.cli("backup", str(tmp_path / "backup"))
    assert "run" in own_lab.refused("restore", str(tmp_path / "backup"), "--replace")
    own_lab.forget_database()
    own_lab.cli("stop", "--force")
    assert "deletes all documents" in own_lab.refused("clean")
    own_lab.cli("clean", "my_lab_sim")
    own_lab.cli("restore", str(tmp_path / "backup"))
    own_lab.cli("launch", "--detach")
    assert own_lab.result(done) == result
    assert own_lab.reached(held, "LOST")["pin"] is not None
    own_lab.cli("cancel", held)
    own_lab.settle()
    assert own_lab.run("doctor").returncode == 0


VERSION_2 = {
    "tasks": ("examined", "edits", "progress", "result_warning", "note"),
    "experiments": ("pin",),
    "devices": ("stopped", "stops", "rebind_to", "hand_over", "failed_digest", "paused_by_driver"),
}
"""The fields that documents did not have before."""


def test_a_lab_with_documents_of_an_older_version_is_launched(own_lab: Laboratory, gate: Path) -> None:
    gate.touch()
    task = own_lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(gate)})
    result = own_lab.result(task)
    own_lab.forget_database()
    own_lab.cli("stop")
    config = load(own_lab.folder, {"LAB_STATE_DIR": str(own_lab.state)}).revealed({})
    with database_at_rest(config) as database:
        for collection, fields in VERSION_2.items():
            database[collection].update_many({}, {"$unset": dict.fromkeys(fields, "")})
        database["meta"].delete_one({"_id": "schema"})
        assert version_of(database) == 1
    own_lab.launch()
    assert version_of(own_lab.records.database) == CURRENT
    assert own_lab.task(task)["edits"] == []
    assert own_lab.client.task(task)["result"] == result
    facts(own_lab)
    own_lab.result(own_lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(gate)}))


def test_a_secret_of_the_environment_is_in_no_process_but_the_first_and_in_no_file(own_lab: Laboratory) -> None:
    run = own_lab.run("alarms", "test", "webhook")
    assert run.returncode == 1
    assert "The webhook did not take the message" in run.stdout
    supervisor = own_lab.identity("supervisor").pid
    others = [process for process in own_lab.processes() if process.pid != supervisor]
    assert len(others) > 4
    for process in others:
        assert SECRET not in str(process.environ())
        assert SECRET not in str(process.cmdline())
    written = list(own_lab.state.rglob("*.log"))
    assert written
    assert not [path for path in written if SECRET in path.read_text(errors="replace")]
    assert SECRET not in own_lab.cli("config")


def test_an_alarm_that_cannot_be_sent_is_shown(own_lab: Laboratory) -> None:
    own_lab.records.log("task.lost", "nobody")
    own_lab.until(lambda: "alarms by webhook fail" in own_lab.cli("status"))
