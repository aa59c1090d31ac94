"""The HTTP API served for real, and the managers process as a program."""

from __future__ import annotations

import io
import json
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from pymongo import MongoClient

from hotswap import wire
from hotswap.process import Identity
from lab.client import ClientError, LabClient
from lab.init import create_lab
from lab.prompts import PromptCategory, new_prompt
from lab.records import TaskStatus
from lab.results.large_result import LargeResult
from lab.results.result_files import ResultFiles
from lab.server.__main__ import Server
from lab.server.app import create_app
from lab.server.settings import Settings
from lab.settings.config import load

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64
TOKEN = "token of this test"
TASK = {"type": "Heating", "parameters": {"minutes": 1}}


@pytest.fixture
def client(lab: Lab) -> Iterator[LabClient]:
    """A client of the API of a started laboratory."""
    lab.promote(NEW)
    lab.add_worker()
    lab.furnish()
    lab.start()
    server = Server(create_app(lab.new_backend, lab="test", token=TOKEN, auto_refresh=True))
    listener = wire.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    host, port = wire.address_of(listener)
    yield LabClient(f"http://{host}:{port}", TOKEN, actor="ann")
    server.end()
    thread.join()


def refused(code: int, call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    assert caught.value.status == code
    return str(caught.value)


def test_an_experiment_is_submitted_and_told(client: LabClient, lab: Lab) -> None:
    experiment = client.submit({"name": "x", "samples": [{"name": "s"}], "tasks": [{**TASK, "samples": ["s"]}]})
    task_id = lab.run()
    assert [each["id"] for each in client.get("experiments")] == [experiment]
    facts = client.experiment(experiment)
    assert [task["id"] for task in facts["tasks"]] == [task_id]
    assert [sample["name"] for sample in facts["samples"]] == ["s"]
    assert client.task(task_id)["pin"]["commit"] == "commit of 1111"


def test_a_wrong_submission_is_refused_and_the_lab_goes_on(client: LabClient, lab: Lab) -> None:
    assert "unknown type" in refused(422, client.submit, {"name": "x", "tasks": [{"type": "Nothing"}]})
    assert "missing" in refused(422, client.submit, {"name": "x", "tasks": [{"type": "Heating"}]})
    circle = [{**TASK, "prev_tasks": [1]}, {**TASK, "prev_tasks": [0]}]
    assert "circle" in refused(422, client.submit, {"name": "x", "tasks": circle})
    assert "sample" in refused(422, client.submit, {"name": "x", "tasks": [{**TASK, "samples": ["s"]}]})
    assert client.get("tasks") == client.get("experiments") == []
    client.submit({"name": "x", "tasks": [TASK]})
    lab.run()


def test_nothing_changes_without_the_token(client: LabClient) -> None:
    stranger = LabClient(client.url)
    refused(401, stranger.submit, {"name": "x", "tasks": [TASK]})
    assert stranger.get("tasks") == []


def test_status_tells_which_version_each_unfinished_task_uses(client: LabClient, lab: Lab) -> None:
    client.submit({"name": "x", "tasks": [TASK]})
    task_id = lab.run()
    lab.promote(OLD)
    lab.add_worker(OLD)
    client.submit({"name": "y", "tasks": [TASK]})
    newer = lab.run("worker-2")
    status = client.status()
    assert (status["lab"], status["generation"], status["snapshot"]) == ("test", 2, OLD)
    assert (status["auto_refresh"], status["tasks"]) == (True, {"RUNNING": 2})
    used = {version["generation"]: (version["current"], version["tasks"][0]["id"]) for version in status["versions"]}
    assert used == {2: (True, newer), 1: (False, task_id)}
    assert [device["id"] for device in status["devices"]] == ["arm", "furnace_1", "furnace_2"]
    assert {worker["id"] for worker in status["workers"]} == {"worker-1", "worker-2"}
    assert status["processes"] == [{"name": "worker"}]


def test_versions_tell_state_and_use(client: LabClient, lab: Lab) -> None:
    client.submit({"name": "x", "tasks": [TASK]})
    lab.run()
    lab.promote(OLD)
    told = [
        (each["number"], each["state"], each["current"], each["unfinished_tasks"]) for each in client.get("versions")
    ]
    assert told == [(2, "current", True, 0), (1, "draining", False, 1)]


def test_tasks_are_found_by_status(client: LabClient, lab: Lab) -> None:
    client.submit({"name": "x", "tasks": [TASK, {**TASK, "prev_tasks": [0]}]})
    running = lab.run()
    assert [task["id"] for task in client.get("tasks", {"status": "RUNNING"})] == [running]
    assert len(client.get("tasks", {"status": "WAITING"})) == 1


def test_events_are_told_once_each(client: LabClient, lab: Lab) -> None:
    lab.records.log("device.rebound", "arm", before="a", after="b")
    events = client.get("events")
    assert [event["kind"] for event in events] == ["device.rebound"]
    assert client.get("events", {"after": events[-1]["id"]}) == []
    refused(404, client.get, "events", {"after": "nothing"})


def test_positions_tell_their_sample(client: LabClient, lab: Lab) -> None:
    client.submit({"name": "x", "samples": [{"name": "s"}], "tasks": [TASK]})
    lab.records.samples.update_one({}, {"$set": {"position": "furnace_1/slot/1"}})
    told = {place["id"]: place["sample"] and place["sample"]["name"] for place in client.get("positions")}
    assert told == {
        "furnace_1/slot/1": "s",
        "furnace_1/slot/2": None,
        "furnace_2/slot/1": None,
        "furnace_2/slot/2": None,
    }


def test_prompts_are_told_by_status_and_by_their_ids(client: LabClient, lab: Lab) -> None:
    task = lab.running_task()
    first, second = (
        new_prompt(PromptCategory.QUESTION, text, ("yes", "no"), task=task, attempt=1) for text in ("first", "second")
    )
    for prompt in (first, second):
        lab.new_backend.prompts.ask(prompt)
    assert [each["id"] for each in client.get("prompts", {"status": "PENDING"})] == [first["_id"], second["_id"]]
    client.answer(first["_id"], "yes", "by eye")
    assert [each["id"] for each in client.get("prompts", {"status": "PENDING"})] == [second["_id"]]
    told = client.get(f"prompts/{first['_id']}")
    assert (told["text"], told["status"], told["answer"], told["note"]) == ("first", "ANSWERED", "yes", "by eye")
    assert "There is no prompt" in refused(404, client.get, "prompts/nothing")


def test_a_sample_is_blamed_by_name_or_id_and_a_version_gives_its_samples(client: LabClient, lab: Lab) -> None:
    client.submit({"name": "x", "samples": [{"name": "s"}], "tasks": [{**TASK, "samples": ["s"]}]})
    task_id = lab.run()
    blame = client.blame("s", since=True)
    (made,) = blame["tasks"]
    assert (made["task"], made["parameters"], made["outcome"]) == (task_id, {"minutes": 1}, "RUNNING")
    assert (made["snapshot"], made["commit"], made["dirty"]) == (NEW, "commit of 1111", False)
    assert client.blame(blame["sample"]["id"])["tasks"] == [made]
    assert "since" not in client.blame("s")
    assert [sample["name"] for sample in client.samples(NEW[:8])] == ["s"]
    assert "There is no sample" in refused(404, client.blame, "nothing")
    assert "No task ran" in refused(404, client.samples, "2")
    client.submit({"name": "y", "samples": [{"name": "s"}], "tasks": [TASK]})
    assert "2 samples are called 's'" in refused(409, client.blame, "s")


def test_a_version_tells_of_its_processes_beside_its_newest_generation(client: LabClient, lab: Lab) -> None:
    lab.processes.append({"name": "worker-1", "snapshot": NEW, "state": "queued", "why": "it waits for memory"})
    lab.promote(OLD)
    lab.promote(NEW)
    told = [[each["name"] for each in version["processes"]] for version in client.get("versions")]
    assert told == [["worker-1"], [], []]


def test_tasks_are_cancelled_and_retried(client: LabClient, lab: Lab) -> None:
    experiment = client.submit({"name": "x", "tasks": [TASK, {**TASK, "prev_tasks": [0]}]})
    task_id = lab.run()
    assert client.cancel(task_id)["cancel_requested"] is True
    lab.end(task_id, TaskStatus.ERROR)
    assert client.retry(task_id)["status"] in (TaskStatus.READY, TaskStatus.INITIATED)
    assert client.cancel_experiment(experiment)["id"] == experiment
    refused(409, client.retry, task_id)
    refused(404, client.retry, "nothing")


def test_devices_are_paused_released_and_stopped(client: LabClient, lab: Lab) -> None:
    assert client.post("devices/arm/pause")["paused"] is True
    assert client.post("devices/arm/release")["paused"] is False
    client.post("devices/arm/emergency_stop")
    assert lab.devices.asked == [("emergency_stop", "arm")]
    refused(404, client.post, "devices/oven/pause")


def test_refresh_plan_and_rollback_reach_the_refresh_manager(client: LabClient) -> None:
    assert client.refresh("main") | {"actor": "ann", "rev": "main"} == client.refresh("main")
    assert client.plan()["drain_set"] == []
    assert client.roll_back(1)["generation"] == 1


def test_a_shutdown_waits_for_nobody_only_when_forced(client: LabClient, lab: Lab) -> None:
    client.submit({"name": "x", "tasks": [TASK]})
    lab.run()
    assert "1 task is at work" in refused(409, client.shut_down)
    assert not lab.stopped.is_set()
    client.shut_down(force=True)
    assert lab.stopped.wait(20)
    assert lab.devices.asked == [("shutdown", "")]


@pytest.fixture
def settings(tmp_path: Path, mongo_uri: str, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of a starter lab whose fleet is not there."""
    monkeypatch.setenv("LAB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LAB_PORT", "0")
    config = load(create_lab(tmp_path / "my_lab_1"))
    config.general.state_dir.mkdir(parents=True)
    (config.general.state_dir / "token").write_text(TOKEN)
    database = f"program_{tmp_path.parent.name}_{tmp_path.name}"[:60]
    yield Settings(
        config=config, mongo_uri=mongo_uri, database=database, broker_url=broker_url, fleet_address=("127.0.0.1", 1)
    )
    with MongoClient[dict[str, Any]](mongo_uri) as mongo:
        mongo.drop_database(database)


def start(settings: Settings) -> subprocess.Popen[bytes]:
    with (settings.config.general.state_dir / "managers.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "lab.server"], stdin=subprocess.PIPE, stderr=log)
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write(settings.model_dump_json().encode())
    return process


def announced(settings: Settings, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The record of this very managers process; waits until it is written."""
    path = settings.config.general.state_dir / "run" / "managers.json"
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and (record := json.loads(path.read_text()))["identity"]["pid"] == process.pid:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            return dict(record)
        time.sleep(0.02)
    raise AssertionError((settings.config.general.state_dir / "managers.log").read_text())


def test_the_program_serves_keeps_its_secrets_and_ends_when_told(settings: Settings) -> None:
    process = start(settings)
    record = announced(settings, process)
    assert Identity.from_dict(record["identity"]).alive()
    assert LabClient(record["url"]).status()["lab"] == "my_lab_1"
    shown = b"".join(Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    for secret in (TOKEN, settings.broker_url, settings.mongo_uri):
        assert secret.encode() not in shown
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_second_managers_process_ends_the_first(settings: Settings) -> None:
    first = start(settings)
    announced(settings, first)
    second = start(settings)
    record = announced(settings, second)
    assert first.wait(20) == 0
    assert LabClient(record["url"]).status()["lab"] == "my_lab_1"
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0


def test_unusable_settings_are_told_in_one_line(settings: Settings) -> None:
    with wire.listen() as taken:
        port = wire.address_of(taken)[1]
        server = settings.config.server.model_copy(update={"port": port})
        busy = settings.model_copy(update={"config": settings.config.model_copy(update={"server": server})})
        process = start(busy)
        assert process.wait(20) == 2
    log = (settings.config.general.state_dir / "managers.log").read_text()
    assert f"cannot listen on 127.0.0.1:{port}" in log
    assert "Traceback" not in log


def test_documents_of_a_later_version_are_told_in_one_line_and_left_alone(settings: Settings) -> None:
    with MongoClient[dict[str, Any]](settings.mongo_uri) as mongo:
        meta = mongo[settings.database]["meta"]
        meta.insert_one({"_id": "schema", "version": 99})
        process = start(settings)
        assert process.wait(20) == 2
        assert list(meta.find()) == [{"_id": "schema", "version": 99}]
    log = (settings.config.general.state_dir / "managers.log").read_text()
    assert "has documents of version 99" in log
    assert "Traceback" not in log


def test_a_large_result_is_sent_whole_with_its_name(client: LabClient, lab: Lab) -> None:
    content = bytes(range(251)) * 10_000
    large = LargeResult.from_file_like_data(io.BytesIO(content), "scän 1.tif")
    reference = ResultFiles(lab.records.database).store(large, "t", "e")
    assert LargeResult.of(reference).reference == reference
    received: list[bytes] = []
    client.download(reference["large_result"], received.append)
    assert b"".join(received) == content
    assert len(received) > 1
    with urlopen(f"{client.url}/api/results/{reference['large_result']}") as answer:
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''sc%C3%A4n%201.tif"
        assert int(answer.headers["Content-Length"]) == len(content)


def test_a_large_result_that_is_not_there_is_told(client: LabClient) -> None:
    assert "no large result 'x'" in refused(404, client.download, "x", lambda _: None)
