"""What ends or spoils laboratories that reload their code in place, done to this one: a test for each known failure."""

from __future__ import annotations

import http.client
import json
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from known_failures import (
    COMPARING,
    FIRING,
    HEATING_SECONDS,
    IDENTITY,
    IMPORTING,
    PROBED,
    PROBING,
    REFERENCE,
)
from laboratory import Laboratory

from lab.client import ClientError

pytestmark = pytest.mark.system

TASKS = ("Probing", "Comparing", "Firing", "Importing")
MODULES = 16


@pytest.fixture(scope="module")
def whole_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A lab with the tasks and devices of ``known_failures``."""
    made = Laboratory((folder := tmp_path_factory.mktemp("failures")) / "my_lab", folder / "state")
    made.create()
    made.edit("my_lab/devices/furnace.py", "\n    def stop(self) -> None:", IDENTITY)
    made.edit("my_lab/devices/furnace.py", "from threading import Lock", "import os\nfrom threading import Lock")
    made.edit("my_lab/devices/diffractometer.py", "\n    def scan(self,", REFERENCE)
    write_helper(made, 1)
    write_probes(made, "answer")
    made.write("my_lab/tasks/comparing.py", COMPARING)
    made.write("my_lab/tasks/firing.py", FIRING)
    made.write("my_lab/tasks/importing.py", IMPORTING)
    for number in range(MODULES):
        made.write(
            f"my_lab/tasks/part_{number}.py", f"from .part_{(number + 1) % MODULES} import __name__\n\nVALUE = 1\n"
        )
    imports = [f"from .tasks.{kind.lower()} import {kind}" for kind in TASKS]
    devices = [f'add_device(Probed, name="probed_{number}")' for number in (1, 2)]
    registry = (made.folder / "my_lab/__init__.py").read_text()
    added = ["from .devices.probed import Probed", *imports, *devices, *(f"add_task({kind})" for kind in TASKS), ""]
    made.write("my_lab/__init__.py", "\n".join([registry, *added]))
    made.commit()
    try:
        made.launch()
        yield made
    finally:
        made.end()


@pytest.fixture
def lab(whole_lab: Laboratory) -> Laboratory:
    whole_lab.settle()
    return whole_lab


def write_helper(lab: Laboratory, value: int) -> None:
    """What the device, the task, and a module that the task imports at its end have in common."""
    lab.write("my_lab/helper.py", f"VALUE = {value}\n")
    lab.write("my_lab/helper_of_late.py", "from .helper import VALUE as LATE\n\n__all__ = ['LATE']\n")


def write_probes(lab: Laboratory, method: str) -> None:
    """Have the task call the device by that name."""
    lab.write("my_lab/devices/probed.py", PROBED.format(method=method))
    lab.write("my_lab/tasks/probing.py", PROBING.format(method=method))


def probe(lab: Laboratory, device: str, gate: Path) -> str:
    """A task that has the device and waits for the gate."""
    task = lab.submit_one("Probing", {"device": device, "gate": str(gate)})
    lab.until(lambda: lab.task(task)["result"])
    return task


def goes_on(lab: Laboratory, tmp_path: Path) -> bool:
    """Whether new work runs from its submission to its end."""
    (tmp_path / "open").touch()
    return bool(lab.result(lab.submit_one("Probing", {"device": "probed_2", "gate": str(tmp_path / "open")})))


def addresses(lab: Laboratory) -> set[tuple[str, int]]:
    """Where the driver processes listen."""
    return {
        (str(host), int(port))
        for d in lab.devices().values()
        if d["binding"]
        for host, port in [d["binding"]["address"]]
    }


def serving(lab: Laboratory) -> dict[str, int]:
    """The driver processes, and the worker of current code: an older one may be ending."""
    worker = f"worker-{lab.client.status()['snapshot'][:12]}"
    return {name: pid for name, pid in lab.version_processes().items() if name == worker or name.startswith("driver-")}


def shout(lab: Laboratory, noise: bytes) -> None:
    """Say something to every driver process, in every task queue, and to the HTTP API."""
    for address in addresses(lab):
        with socket.create_connection(address, timeout=5.0) as connection:
            connection.sendall(noise)
    broker = json.loads((lab.state / "run" / "broker.json").read_text())
    with redis.Redis.from_url(broker["url"]) as client:
        for worker in lab.records.workers.find():
            key = f"dramatiq:{worker['queue']}"
            client.hset(f"{key}.msgs", "noise", noise)  # type: ignore[arg-type]  # the stubs know no bytes
            client.rpush(key, "noise")
    host, _, port = lab.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5.0) as connection:
        head = f"POST /api/experiments HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {lab.token}\r\n"
        connection.sendall(f"{head}Content-Length: {len(noise)}\r\n\r\n".encode() + noise)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_syntax_error_that_is_saved_in_a_task_is_refused_with_its_line(
    lab: Laboratory, gate: Path, tmp_path: Path
) -> None:
    text = (lab.folder / "my_lab/tasks/moving.py").read_text()
    running = probe(lab, "probed_1", gate)
    lab.write("my_lab/tasks/moving.py", text + "\ndef broken(:\n")
    refresh = lab.refresh()
    assert refresh["outcome"] == "rejected"
    assert f"my_lab/tasks/moving.py, line {len(text.splitlines()) + 2}" in refresh["error"]
    assert goes_on(lab, tmp_path)
    gate.touch()
    lab.result(running)
    lab.write("my_lab/tasks/moving.py", text)
    lab.refresh()


def test_a_new_device_is_there_without_a_restart(lab: Laboratory, gate: Path) -> None:
    registry = (lab.folder / "my_lab/__init__.py").read_text()
    lab.write("my_lab/__init__.py", registry + 'add_device(Probed, name="probed_3")\n')
    lab.go_live()
    gate.touch()
    assert lab.result(probe(lab, "probed_3", gate))["seen"] == [1]


def test_a_new_task_type_is_there_without_a_restart(lab: Laboratory, gate: Path) -> None:
    lab.write("my_lab/tasks/newest.py", PROBING.format(method="answer").replace("Probing", "Newest"))
    registry = (lab.folder / "my_lab/__init__.py").read_text()
    lab.write("my_lab/__init__.py", registry + "from .tasks.newest import Newest\nadd_task(Newest)\n")
    lab.go_live()
    gate.touch()
    assert lab.result(lab.submit_one("Newest", {"device": "probed_1", "gate": str(gate)}))["seen"] == [1]


def test_an_unknown_type_of_task_is_refused_when_it_is_submitted(lab: Laboratory, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="unknown type 'Prodding'"):
        lab.submit_one("Prodding", {})
    assert lab.records.tasks.find_one({"type": "Prodding"}) is None
    assert goes_on(lab, tmp_path)


def test_a_lab_with_new_devices_and_tasks_is_launched_again(lab: Laboratory, gate: Path) -> None:
    lab.cli("stop")
    lab.launch()
    gate.touch()
    assert lab.result(lab.submit_one("Newest", {"device": "probed_3", "gate": str(gate)}))["seen"] == [1]


def test_tasks_and_devices_read_the_same_version_of_a_data_file(lab: Laboratory, gate: Path) -> None:
    old = lab.submit_one("Comparing", {"gate": str(gate)})
    lab.until(lambda: lab.task(old)["result"])
    lab.edit("my_lab/data/reference_peaks.json", "[20.86, 22]", "[20.86, 24]")
    lab.go_live()
    new = lab.submit_one("Comparing", {"gate": str(gate)})
    gate.touch()
    read = [
        [[lines == loaded, [20.86, 24] in lines] for lines, loaded in lab.result(task)["seen"]] for task in (old, new)
    ]
    assert read == [[[True, False]] * 2, [[True, True]] * 2]


def test_an_edit_of_two_files_that_is_half_saved_waits_for_its_other_half(tmp_path: Path, gate: Path) -> None:
    lab = Laboratory(tmp_path / "my_lab", tmp_path / "state")
    lab.create()
    lab.edit("lab.toml", 'trigger = "commit"', 'trigger = "save"')
    try:
        lab.launch()
        running, old = lab.hold("furnace_1", gate), lab.code
        new = lab.write_code()
        text = (lab.folder / "my_lab/tasks/holding.py").read_text()
        lab.write(
            "my_lab/tasks/holding.py", text.replace("from lab", "from ..other_half import HALF  # noqa\nfrom lab")
        )
        half = lab.until(lambda: lab.records.refreshes.find_one({"outcome": "rejected"}))
        assert half is not None and "other_half" in half["error"]
        assert lab.hold("furnace_2", gate)
        lab.write("my_lab/other_half.py", "HALF = True\n")
        lab.until(lambda: lab.generation() == 2)
        later = lab.hold("furnace_3", gate)
        gate.touch()
        assert [lab.result(task)["late"][0] for task in (running, later)] == [old, new]
    finally:
        gate.touch()
        lab.end()


def test_a_task_and_a_driver_that_change_together_meet_only_each_other(lab: Laboratory, gate: Path) -> None:
    old = probe(lab, "probed_1", gate)
    write_probes(lab, "reply")
    lab.go_live()
    new = [probe(lab, "probed_2", gate), lab.submit_one("Probing", {"device": "probed_1", "gate": str(gate)})]
    gate.touch()
    assert [lab.result(task)["seen"] for task in (old, *new)] == [[1]] * 3
    write_probes(lab, "answer")
    lab.go_live()


def test_a_changed_helper_is_old_or_new_for_all_of_a_task(lab: Laboratory, gate: Path) -> None:
    old = probe(lab, "probed_1", gate)
    write_helper(lab, 2)
    lab.go_live()
    new = probe(lab, "probed_2", gate)
    gate.touch()
    assert [lab.result(task)["seen"] for task in (old, new)] == [[1], [2]]
    write_helper(lab, 1)
    lab.go_live()


def test_sixteen_tasks_import_the_same_modules_at_once(lab: Laboratory, gate: Path) -> None:
    lab.write("my_lab/tasks/part_0.py", (lab.folder / "my_lab/tasks/part_0.py").read_text() + "# of a new worker\n")
    lab.go_live()
    tasks = [lab.submit_one("Importing", {"gate": str(gate), "modules": MODULES}) for _ in range(16)]
    for task in tasks:
        lab.until(lambda task=task: lab.task(task)["message"] == "waiting")  # type: ignore[misc]
    gate.touch()
    assert [lab.result(task)["sum"] for task in tasks] == [MODULES] * 16


def test_a_lab_that_is_killed_in_the_middle_of_a_refresh_goes_on_by_itself(lab: Laboratory, gate: Path) -> None:
    running = probe(lab, "probed_1", gate)
    write_helper(lab, 3)
    commit = lab.commit()
    lab.until(lambda: lab.records.refreshes.find_one({"rev": commit}))
    dead = [lab.identity(name) for name in ("supervisor", "managers")]
    assert all(identity.kill() and identity.wait(10.0) for identity in dead)
    lab.cli("launch", "--detach")
    current = lab.until(lambda: lab.records.database["current_generation"].find_one({"commit": commit}))
    assert current is not None
    lab.settle()
    assert not any(device["paused"] for device in lab.devices().values())
    gate.touch()
    assert lab.result(running)["seen"] == [1]
    assert lab.task(running)["attempt"] == 1
    assert lab.result(probe(lab, "probed_2", gate))["seen"] == [3]
    write_helper(lab, 1)
    lab.go_live()


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        pytest.param("device: str, door: str", "'door' is missing", id="a renamed parameter"),
        pytest.param("device: str, gate: str, celsius: float", "'celsius' is missing", id="a new one that is required"),
    ],
)
def test_a_queued_task_whose_parameters_do_not_fit_is_held_and_never_run_with_others(
    lab: Laboratory, gate: Path, signature: str, reason: str
) -> None:
    first = {"type": "Probing", "parameters": {"device": "probed_1", "gate": str(gate)}}
    submitted = lab.client.submit({"name": "queued", "tasks": [first, {**first, "prev_tasks": [0]}]})
    running, queued = (str(task["id"]) for task in lab.client.experiment(submitted)["tasks"])
    lab.until(lambda: lab.task(running)["result"])
    text = (lab.folder / "my_lab/tasks/probing.py").read_text()
    changed = text.replace("device: str, gate: str", signature)
    lab.write("my_lab/tasks/probing.py", changed.replace("= gate", "= door") if "door" in signature else changed)
    lab.go_live()
    gate.touch()
    lab.result(running)
    lab.until(lambda: reason in str(lab.task(queued)["reason"]))
    assert (lab.task(queued)["status"], lab.task(queued)["started_at"]) == ("READY", None)
    lab.write("my_lab/tasks/probing.py", text)
    lab.go_live()
    assert lab.result(queued)["seen"] == [1]


def test_a_comment_that_is_edited_while_a_furnace_heats_leaves_the_heating_alone(lab: Laboratory, gate: Path) -> None:
    heating = lab.submit_one("Firing", {"gate": str(gate)})
    lab.until(lambda: lab.task(heating)["result"])
    before = lab.connects()
    for path in ("my_lab/devices/balance.py", "my_lab/devices/furnace.py", "my_lab/tasks/firing.py"):
        lab.write(path, (lab.folder / path).read_text() + "# A comment.\n")
    generation = lab.go_live()
    gate.touch()
    result, task = lab.result(heating), lab.task(heating)
    assert result["during"] and result["seconds"] >= HEATING_SECONDS
    assert result["objects"][0] == result["objects"][1]
    assert task["pin"] is not None and task["pin"]["generation"] == generation - 1
    assert lab.connects() == before


def test_a_malformed_message_does_no_harm(lab: Laboratory, gate: Path) -> None:
    running, living = probe(lab, "probed_1", gate), serving(lab)
    for noise in (b"\x00\xff{" * 20, b'{"op": ', b"GET / HTTP/1.1\r\n\r\n"):
        shout(lab, noise)
    gate.touch()
    assert lab.result(running)["seen"] == [1]
    assert lab.result(probe(lab, "probed_2", gate))["seen"] == [1]
    assert serving(lab) == living


class Bomb:
    """Runs something in whoever unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_is_opened_by_nobody(lab: Laboratory, gate: Path, tmp_path: Path) -> None:
    shout(lab, pickle.dumps(Bomb(tmp_path / "exploded")))
    gate.touch()
    assert lab.result(probe(lab, "probed_1", gate))["seen"] == [1]
    assert not (tmp_path / "exploded").exists()


def test_a_page_of_somebody_else_pauses_no_furnace(lab: Laboratory) -> None:
    address = lab.url.removeprefix("http://")
    for method, path, secret in (
        ("POST", "devices/furnace_1/pause", ""),
        ("POST", "devices/furnace_1/pause", lab.token),
        ("GET", "devices/furnace_1/pause", lab.token),
    ):
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request(
            method, f"/api/{path}", b"{}", {"Origin": "http://evil.example", "Authorization": f"Bearer {secret}"}
        )
        assert connection.getresponse().status in (401, 403)
        connection.close()
    assert not lab.devices()["furnace_1"]["paused"]
