"""What goes wrong around a command line is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hotswap.errors import HotswapError
from hotswap.process import Identity
from lab.cli import main
from lab.client import ClientError, LabClient
from lab.services.connection import connect
from lab.services.supervisor import running, take_over
from lab.settings.config import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lab's folder, whose lab does not run."""
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text('[general]\nname = "test"\nstate_dir = "state"\n')
    return tmp_path


def lab(folder: Path, *arguments: str, state: str = "", stdin: str = "") -> Result:
    environment = {name: "" for name in os.environ if name.startswith("LAB_")} | {"LAB_STATE_DIR": state}
    return CliRunner().invoke(main, [*arguments, "--config", str(folder)], input=stdin, env=environment)


def sentence(result: Result) -> str:
    """What was said, which has to be one line, with exit code 2."""
    assert result.exit_code == 2, result.exception
    assert result.output.startswith("lab: ")
    assert result.output.count("\n") == 1
    return result.output


def record(folder: Path, name: str, text: str) -> Path:
    path = folder / "state" / "run" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("module", ["lab.cli", "hotswap.cli"])
def test_a_command_line_can_be_run_as_a_module(module: str) -> None:
    told = subprocess.run([sys.executable, "-m", module, "--help"], check=True, stdout=subprocess.PIPE, timeout=30)
    assert b"Usage:" in told.stdout


@pytest.mark.parametrize("command", [["launch"], ["launch", "--detach"], ["status"], ["stop"]])
def test_a_state_folder_below_a_file_is_told(folder: Path, command: list[str]) -> None:
    said = sentence(lab(folder, *command, state="/dev/null/x"))
    assert "/dev/null/x" in said
    assert "Not a directory" in said


def test_a_state_folder_that_cannot_be_written_is_told(folder: Path) -> None:
    said = sentence(lab(folder, "launch", state="/proc/lab"))
    assert said.startswith("lab: The state folder /proc/lab cannot be used (")
    assert "LAB_STATE_DIR" in said


@pytest.mark.parametrize("text", ['{"url": "http', "", "[]", "{}"])
def test_a_damaged_record_of_the_managers_is_told(folder: Path, text: str) -> None:
    path = record(folder, "managers.json", text)
    assert f"{path} is damaged; run `lab stop`" in sentence(lab(folder, "status"))


def test_a_lab_with_a_damaged_record_can_be_stopped(folder: Path) -> None:
    record(folder, "managers.json", '{"url": "http')
    assert lab(folder, "stop").output == "The lab does not run.\n"


@pytest.mark.parametrize("text", ['{"identity": {"pi', "", "[1]", '{"identity": 3}', "{}"])
def test_what_no_record_tells_is_not_running(folder: Path, text: str) -> None:
    record(folder, "supervisor.json", text)
    record(folder, "managers.json", text)
    config = load(folder, {})
    assert running(config) is None
    take_over(config)
    assert running(config) is None


def test_a_living_process_is_found_beside_a_damaged_record(folder: Path) -> None:
    record(folder, "broker.json", '{"identity"')
    record(folder, "supervisor.json", json.dumps({"identity": Identity.mine().to_dict()}))
    assert running(load(folder, {})) == Identity.mine()


def test_an_experiment_nested_too_deeply_is_told(folder: Path) -> None:
    assert "is not JSON" in sentence(lab(folder, "submit", "-", stdin="[" * 100_000))


def test_the_client_tells_what_is_nested_too_deeply() -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"in": deep}
    with pytest.raises(ClientError, match="nested too deeply"):
        LabClient("http://127.0.0.1:1").submit(deep)


@pytest.mark.parametrize(
    "uri", ["mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", "mongodb://u:se@cret@host", "mongodb://h:99999"]
)
def test_a_database_that_cannot_be_reached_is_one_short_sentence(uri: str) -> None:
    with pytest.raises(HotswapError, match=r"\[mongodb\] uri in lab\.toml") as caught:
        connect(uri, appname="test")
    assert len(str(caught.value)) < 250
    assert "Topology" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_ctrl_c_has_an_exit_code_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.settings.config.load", interrupt)
    result = lab(folder, "status")
    assert (result.exit_code, result.stderr) == (130, "lab: interrupted\n")
