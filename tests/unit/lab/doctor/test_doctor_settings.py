"""What the doctor says of settings, machine and code, without a database."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from pymongo.errors import AutoReconnect

from hotswap.store import Store
from lab.doctor import Report, examine
from lab.doctor._broker import check_broker
from lab.doctor._code import check_hooks, check_store
from lab.doctor._host import check_disk, check_platform, check_ports
from lab.doctor._settings import check_settings
from lab.settings.config import LabConfig, load

Write = Callable[[str], LabConfig]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()

    def settings(text: str) -> LabConfig:
        (tmp_path / "lab.toml").write_text(f'[general]\nstate_dir = "state"\n{text}')
        return load(tmp_path, {})

    return settings


def found(report: Report) -> list[str]:
    return [finding.what for finding in report.findings]


def test_settings_without_secrets_are_fine(write: Write) -> None:
    check_settings(report := Report(), write(""))
    assert report.findings == []


def test_a_password_that_others_can_read_is_found_and_mended(write: Write) -> None:
    config = write('[mongodb]\nuri = "mongodb://me:hidden@host"\n')
    config.path.chmod(0o644)
    check_settings(report := Report(), config)
    (finding,) = report.findings
    assert finding.what == f"{config.path} has a password in it, and others can read it"
    assert "hidden" not in str(report.to_dict())
    assert finding.repair is not None
    finding.repair()
    check_settings(again := Report(), config)
    assert again.findings == []


def test_a_password_of_the_archive_is_found(write: Write) -> None:
    config = write('[archive]\nuri = "mongodb://me:hidden@host"\n')
    config.path.chmod(0o644)
    check_settings(report := Report(), config)
    assert found(report) == [f"{config.path} has a password in it, and others can read it"]


def test_a_password_that_a_variable_gives_is_not_in_the_file(write: Write) -> None:
    config = write('[mongodb]\nuri = "mongodb://host"\n')
    config.path.chmod(0o644)
    check_settings(report := Report(), load(config.path, {"HOTSWAP_LAB__MONGODB__URI": "mongodb://me:hidden@host"}))
    assert report.findings == []


def test_a_password_in_git_is_found(write: Write) -> None:
    config = write('[broker]\nurl = "redis://:hidden@host"\n')
    config.path.chmod(0o600)
    for command in (["init", "--quiet"], ["add", "lab.toml"]):
        subprocess.run(["git", *command], cwd=config.lab_dir, check=True)
    check_settings(report := Report(), config)
    assert found(report) == [f"{config.path} has a password in it, and is in git"]


def test_a_token_that_others_can_read_is_found(write: Write) -> None:
    config = write("")
    config.general.state_dir.mkdir(mode=0o700)
    token = config.general.state_dir / "token"
    token.write_text("secret")
    token.chmod(0o640)
    check_settings(report := Report(), config)
    assert found(report) == [f"others can read {token}"]


def test_a_port_that_is_taken_is_found(write: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check_ports(report := Report(), write(f"[server]\nport = {port}\n"))
    assert len(report.findings) == 1
    assert found(report)[0].startswith(f"the HTTP API cannot listen on 127.0.0.1:{port} (Address already in use")


def test_a_disk_that_is_nearly_full_is_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5 << 20})
    monkeypatch.setattr("lab.doctor._host.shutil.disk_usage", lambda _: usage)
    check_disk(report := Report(), config := write("[alarms]\ndisk_free_mb = 6\n"))
    assert found(report) == [f"only 5 MB are free in {config.lab_dir}"]
    check_disk(enough := Report(), write("[alarms]\ndisk_free_mb = 5\n"))
    assert enough.findings == []


def test_a_distribution_that_does_not_fit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__("importlib.metadata", fromlist=["distribution"]).distribution("hotswap-lab")
    own = type("Distribution", (), {"version": real.version, "requires": ["pymongo>=99", "nowhere>=1; extra == 'x'"]})
    monkeypatch.setattr("lab.doctor._host.metadata.distribution", lambda _: own)
    check_platform(report := Report())
    assert len(report.findings) == 1
    assert report.findings[0].mend == "run `pip install 'pymongo>=99'`"


def test_a_missing_git_hook_is_found_and_mended(write: Write) -> None:
    config = write("auto_refresh = true\n")
    subprocess.run(["git", "init", "--quiet"], cwd=config.lab_dir, check=True)
    check_hooks(report := Report(), config)
    (finding,) = report.findings
    assert finding.repair is not None
    finding.repair()
    check_hooks(again := Report(), config)
    assert again.facts == [("hooks", "git tells of each commit")]


def test_a_damaged_code_version_is_found(tmp_path: Path) -> None:
    from hotswap.source import TreeSource

    package = tmp_path / "sound"
    package.mkdir()
    (package / "__init__.py").write_text("VALUE = 1\n")
    store = Store(tmp_path / "store")
    snapshot = store.freeze(TreeSource(package))
    check_store(well := Report(), store)
    assert well.findings == []
    file = store.tree(snapshot.id) / "sound" / "__init__.py"
    file.parent.chmod(0o755)
    file.unlink()
    check_store(report := Report(), store)
    assert len(report.findings) == 1
    assert "hotswap verify" in report.findings[0].mend


def test_a_broker_that_does_not_answer_is_found_without_its_password(write: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    check_broker(report := Report(), write(f'[broker]\nurl = "redis://:hidden@127.0.0.1:{port}"\n'), runs=False)
    assert found(report) == ["the broker does not answer (ConnectionError)"]
    assert "hidden" not in str(report.to_dict())


def test_an_embedded_broker_that_is_not_installed_is_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.doctor._broker.importlib.util.find_spec", lambda _: None)
    check_broker(report := Report(), write(""), runs=False)
    assert found(report) == ["the embedded broker is not installed"]


def test_an_embedded_broker_is_missed_only_while_the_lab_runs(write: Write) -> None:
    check_broker(stopped := Report(), config := write(""), runs=False)
    check_broker(running := Report(), config, runs=True)
    assert stopped.facts == [("broker", "the embedded one is started with the lab")]
    assert found(running) == ["the embedded broker does not answer"]


class AMQPError(Exception):
    """As pika has it, which is not installed here."""


class ConnectorError(Exception):
    """Another one of pika, which is no AMQPError."""


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """What connects to RabbitMQ."""
    pika = MagicMock()
    pika.exceptions.AMQPError = AMQPError
    pika.adapters.utils.connection_workflow.AMQPConnectorException = ConnectorError
    monkeypatch.setitem(sys.modules, "pika", pika)
    monkeypatch.setattr("lab.doctor._broker.importlib.util.find_spec", lambda _: pika)
    connect: MagicMock = pika.BlockingConnection
    return connect


def test_a_rabbitmq_that_answers_is_told_of(write: Write, connect: MagicMock) -> None:
    check_broker(report := Report(), write('[broker]\nurl = "amqp://me:hidden@host"\n'), runs=True)
    assert report.facts == [("broker", "RabbitMQ answers")]
    connect.return_value.close.assert_called_once()


@pytest.mark.parametrize("error", [AMQPError, ConnectorError, ConnectionRefusedError])
def test_a_rabbitmq_that_does_not_answer_is_found(write: Write, connect: MagicMock, error: type[Exception]) -> None:
    connect.side_effect = error("amqp://me:hidden@host")
    check_broker(report := Report(), write('[broker]\nurl = "amqp://me:hidden@host"\n'), runs=True)
    assert found(report) == [f"the broker does not answer ({error.__name__})"]
    assert "hidden" not in str(report.to_dict())


def test_a_database_that_fails_in_the_middle_is_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MagicMock()
    client.__enter__.return_value = client
    client.__exit__.return_value = None
    client.__getitem__.return_value.client.admin.command.side_effect = AutoReconnect("connection closed")
    monkeypatch.setattr("lab.services.access.connect", lambda *_, **__: client)
    report = examine(write('[mongodb]\nuri = "mongodb://host"\n').path)
    assert "The database fails (connection closed); see that it runs, then try again." in found(report)


def test_settings_that_cannot_be_read_are_the_finding(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("[general")
    report = examine(tmp_path)
    assert "is not valid TOML" in report.findings[0].what


def test_a_secret_that_cannot_be_had_is_found(write: Write) -> None:
    config = write('[mongodb]\nuri_file = "uri"\n')
    assert any("uri_file" in what for what in found(examine(config.path)))
