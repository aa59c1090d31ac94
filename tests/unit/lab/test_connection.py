"""How a program finds the laboratory it means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hotswap.process import Identity
from lab.client import ClientError
from lab.connection import connect
from lab.settings.config import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a lab that says it runs, and the current one."""
    monkeypatch.delenv("LAB_STATE_DIR", raising=False)
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text('[general]\nname = "test"\nstate_dir = "state"\n')
    (tmp_path / "state" / "run").mkdir(parents=True)
    (tmp_path / "state" / "token").write_text("secret\n")
    (tmp_path / "state" / "run" / "managers.json").write_text(json.dumps({"url": "http://127.0.0.1:8895"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("address", [None, "http://127.0.0.1:8895", "http://localhost:8895/"])
def test_the_lab_of_the_folder_is_told_its_token(address: str | None) -> None:
    client = connect(address)
    assert (client.url, client._token) == ("http://127.0.0.1:8895", "secret")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("address", ["http://127.0.0.1:8896", "http://elsewhere:8895", "http://127.0.0.1"])
def test_another_lab_is_not_told_the_token_of_this_one(address: str) -> None:
    client = connect(address)
    assert (client.url, client._token) == (address, "")


@pytest.mark.usefixtures("folder")
def test_a_token_that_is_given_is_used() -> None:
    assert connect(token="mine")._token == "mine"
    assert connect("http://elsewhere:1", "mine")._token == "mine"


def test_without_a_lab_an_address_is_enough_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert connect("http://127.0.0.1:8895")._token == ""
    with pytest.raises(ConfigError, match=r"there is no lab\.toml"):
        connect()


def test_a_lab_that_is_just_starting_is_not_told_to_be_started(folder: Path) -> None:
    (folder / "state" / "run" / "managers.json").unlink()
    record = {"identity": Identity.mine().to_dict()}
    (folder / "state" / "run" / "supervisor.json").write_text(json.dumps(record))
    with pytest.raises(ClientError, match="The lab 'test' is starting; try again"):
        connect()


def test_a_lab_that_does_not_run_is_named(folder: Path) -> None:
    (folder / "state" / "run" / "managers.json").unlink()
    with pytest.raises(ClientError, match="The lab 'test' does not run"):
        connect()
