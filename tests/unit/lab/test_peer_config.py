"""An AlabOS config.toml becomes a lab.toml; what cannot be carried over is told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lab.settings.config import load
from lab.settings.peer_config import carry_over, write
from lab.settings.section import ConfigError

WHOLE = """
[general]
name = "Alab"
working_dir = "."
auto_refresh = true
[mongodb]
host = "db.example.org"
port = 27018
username = "me"
password = "hid:den/1"
[mongodb_completed]
host = "localhost"
[rabbitmq]
host = "mq"
port = 5673
[alarm]
email_receivers = ["ada@example.org"]
email_sender = "lab@example.org"
email_password = "hidden2"
slack_bot_token = "xoxb-hidden3"
slack_channel_id = "C1"
[large_result_storage]
default_storage_type = "gridfs"
[colours]
red = 1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    package = tmp_path / "labs" / "alab_one"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    file = package / "config.toml"
    file.write_text(WHOLE)
    return file


def test_what_both_know_is_carried_over(config: Path) -> None:
    target = write(carry_over(config))
    assert target == config.parents[1] / "lab.toml"
    settings = load(target, {}).revealed({})
    assert (settings.general.name, settings.general.package) == ("Alab", config.parent)
    assert (settings.general.auto_refresh, settings.general.trigger) == (True, "save")
    assert settings.mongodb.uri == "mongodb://me:hid%3Aden%2F1@db.example.org:27018/"
    assert (settings.archive.uri, settings.archive.database) == ("mongodb://localhost:27017/", "Alab_completed")
    assert settings.broker.url == "amqp://mq:5673"
    email = settings.alarms.email
    assert email is not None
    assert (email.sender, email.receivers, email.password) == ("lab@example.org", ("ada@example.org",), "hidden2")


def test_secrets_are_in_files_of_their_own(config: Path) -> None:
    target = write(carry_over(config))
    assert not [word for word in ("hid:den", "hid%3Aden", "hidden") if word in target.read_text()]
    for name in ("mongodb", "email"):
        assert stat.S_IMODE((target.parent / "secrets" / name).stat().st_mode) == 0o600
    assert (target.parent / "secrets" / ".gitignore").read_text() == "*\n"


def test_what_cannot_be_carried_over_is_told(config: Path) -> None:
    notes = "\n".join(carry_over(config).notes)
    for word in ("Slack token", "[colours]", "dramatiq[rabbitmq]", "simulation", "large_result_storage", "no data"):
        assert word in notes
    assert "hidden" not in notes


@pytest.mark.parametrize(
    "key", ['email_receivers = ["ada@example.org"]', 'email_sender = "lab@example.org"', 'email_password = "hidden"']
)
def test_an_alarm_that_lacks_half_of_its_e_mail_is_told(config: Path, key: str) -> None:
    config.write_text(f"[alarm]\n{key}\n")
    carried = carry_over(config)
    assert "no alarms by e-mail: [alarm] needs both email_receivers and email_sender for them" in carried.notes
    assert carried.secrets == {}
    assert load(write(carried), {}).alarms.email is None


def test_an_alarm_without_e_mail_needs_no_note_of_it(config: Path) -> None:
    config.write_text('[alarm]\nemail_receivers = []\nemail_sender = ""\n')
    assert "e-mail" not in "\n".join(carry_over(config).notes)


def test_a_key_that_is_not_known_is_told(config: Path) -> None:
    assert not [note for note in carry_over(config).notes if "not known" in note and "[colours]" not in note]
    config.write_text(f'{WHOLE}\n[mongodb.options]\nreplicaSet = "rs"\n'.replace("port = 5673", "prot = 5673"))
    notes = carry_over(config).notes
    assert "mongodb.options is not known and was left out" in notes
    assert "rabbitmq.prot is not known and was left out" in notes


def test_a_lab_toml_that_is_there_is_left_alone(config: Path) -> None:
    write(carry_over(config))
    with pytest.raises(ConfigError, match=r"lab\.toml exists: move it away first"):
        write(carry_over(config))


def test_nothing_is_left_of_one_that_would_not_be_valid(config: Path) -> None:
    config.write_text('[general]\nname = ""\n')
    with pytest.raises(ConfigError):
        write(carry_over(config))
    assert sorted(path.name for path in config.parents[1].iterdir()) == ["alab_one"]


@pytest.mark.parametrize("text", ["[general", "general = 1", "mongodb = 'here'"])
def test_a_file_that_is_none_is_refused(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError):
        carry_over(config)


def test_the_smallest_file_is_enough(config: Path) -> None:
    config.write_text("")
    assert load(write(carry_over(config)), {}).general.name == "alab_one"
