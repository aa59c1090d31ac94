"""Each way out, with a real server or program at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from receivers import Hook, Mailbox

from lab.alarms.channels import Channel, ChannelError, Message, channels_of, tell_now
from lab.alarms.settings import Alarms
from lab.settings.config import load
from lab.settings.section import ConfigError

MESSAGE = Message("m1", "[night lab] Device furnace_1 is in error", "10:00 furnace_1: öde")
ADDRESSES = {"sender": "lab@example.org", "receivers": ["ada@example.org", "bob@example.org"]}


@pytest.fixture
def mailbox(request: pytest.FixtureRequest) -> Iterator[Mailbox]:
    with closing(Mailbox(*getattr(request, "param", ()))) as made:
        yield made


def channel(name: str, **settings: Any) -> Channel:
    return channels_of(Alarms(**{name: settings}), simulation=False)[name]


def test_mail_reaches_every_receiver(mailbox: Mailbox) -> None:
    channel("email", host="127.0.0.1", port=mailbox.port, tls="none", **ADDRESSES).send(MESSAGE)
    taken = mailbox.next()
    assert taken["to"] == ["rcpt TO:<ada@example.org>", "rcpt TO:<bob@example.org>"]
    assert "Subject: [night lab] Device furnace_1 is in error" in taken["text"]
    assert "Message-ID: <m1@example.org>" in taken["text"]


@pytest.mark.parametrize("mailbox", [("lab", "hidden")], indirect=True)
def test_mail_is_sent_by_who_knows_the_password(mailbox: Mailbox) -> None:
    settings = {"host": "127.0.0.1", "port": mailbox.port, "tls": "none", "user": "lab", **ADDRESSES}
    with pytest.raises(ChannelError, match="wrong password") as caught:
        channel("email", password="guessed", **settings).send(MESSAGE)
    assert "guessed" not in str(caught.value)
    channel("email", password="hidden", **settings).send(MESSAGE)
    assert "furnace_1" in mailbox.next()["text"]


def test_mail_is_not_sent_without_tls_where_that_is_wanted(mailbox: Mailbox) -> None:
    for tls in ("starttls", "tls"):
        with pytest.raises(ChannelError, match=f"The e-mail was not sent by 127.0.0.1:{mailbox.port}"):
            channel("email", host="127.0.0.1", port=mailbox.port, tls=tls, **ADDRESSES).send(MESSAGE)


def test_a_mail_server_that_is_not_there_is_told_in_a_sentence() -> None:
    with pytest.raises(ChannelError, match=r"The e-mail was not sent by 127\.0\.0\.1:1 \(.*refused\)\."):
        channel("email", host="127.0.0.1", port=1, **ADDRESSES).send(MESSAGE)


@pytest.fixture
def web() -> Iterator[Hook]:
    with closing(Hook()) as made:
        yield made


def test_a_webhook_is_sent_what_slack_takes(web: Hook) -> None:
    channel("webhook", url=f"{web.url}/hook").send(MESSAGE)
    text = "*[night lab] Device furnace_1 is in error*\n10:00 furnace_1: öde"
    assert web.next() == ("/hook", {"text": text})


def test_a_webhook_that_refuses_is_told_without_its_address(web: Hook) -> None:
    with pytest.raises(ChannelError) as caught:
        channel("webhook", url=f"{web.url}/refuse/hidden").send(MESSAGE)
    assert str(caught.value) == "The webhook did not take the message (HTTP status 404)."


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/hidden", "http://hidden host/", "http://[hidden"])
def test_a_webhook_that_cannot_be_reached_is_told_without_its_address(url: str) -> None:
    with pytest.raises(ChannelError, match="The webhook did not take the message") as caught:
        channel("webhook", url=url).send(MESSAGE)
    assert "hidden" not in str(caught.value)


def test_a_command_gets_the_message_on_its_standard_input(tmp_path: Path) -> None:
    channel("command", run=["sh", "-c", f"cat > {tmp_path / 'said'}"]).send(MESSAGE)
    assert (tmp_path / "said").read_text() == f"{MESSAGE.title}\n\n{MESSAGE.body}\n"


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (["sh", "-c", "echo no line >&2; exit 3"], "The command sh ended with exit code 3: no line."),
        (["/nowhere/ring"], "The command /nowhere/ring did not start (No such file or directory)."),
    ],
)
def test_a_command_that_fails_is_told(run: list[str], sentence: str) -> None:
    with pytest.raises(ChannelError) as caught:
        channel("command", run=run).send(MESSAGE)
    assert str(caught.value) == sentence


def test_nothing_leaves_a_simulated_lab_unless_that_is_wanted() -> None:
    settings = {"command": {"run": ["true"]}}
    assert channels_of(Alarms(**settings), simulation=True) == {}
    assert list(channels_of(Alarms(**settings, in_simulation=True), simulation=True)) == ["command"]


def test_what_fails_is_tried_twice_more_and_then_told() -> None:
    pauses: list[float] = []

    class Broken:
        def send(self, message: Message) -> None:
            raise ChannelError("no line")

    assert tell_now({"broken": Broken()}, MESSAGE, pauses.append) == {"broken": "no line"}
    assert len(pauses) == 2
    assert tell_now({"broken": Broken()}, MESSAGE, pauses.append, tries=1) == {"broken": "no line"}
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('[alarms.email]\npassword = "hidden"', "alarms.email.password is a secret, and this file is no place for one"),
        ('[alarms.webhook]\nurl = "https://hidden"', "alarms.webhook.url is a secret"),
        ("[alarms.webhook]", "alarms.webhook: its address is not given"),
        ("[alarms.command]\nrun = []", "alarms.command.run: "),
        ('[alarms.email]\nhost = "h"\nsender = "lab"\nreceivers = ["a@b"]', "alarms.email.sender: "),
        ('[alarms.email]\nhost = "h"\nsender = "a@b"\nreceivers = []', "alarms.email.receivers: "),
        ('[alarms.email]\nhost = "h"\nsender = "a@b"\nreceivers = ["a@b"]\nuser = "u"', "user and its password go"),
        (
            '[alarms.email]\nhost = "h"\nsender = "a@b"\nreceivers = ["a@b"]\nuser = "u"\npassword_env = "P"\n'
            'tls = "none"',
            "a password is not sent to h in the clear",
        ),
    ],
)
def test_settings_that_would_not_work_are_refused(tmp_path: Path, settings: str, sentence: str) -> None:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text(settings)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert sentence in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_secrets_of_alarms_come_from_a_file_and_a_variable(tmp_path: Path) -> None:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "hook").write_text("https://hidden/hook\n")
    (tmp_path / "hook").chmod(0o600)
    email = '[alarms.email]\nhost = "h"\nsender = "a@b"\nreceivers = ["a@b"]\nuser = "u"\n'
    (tmp_path / "lab.toml").write_text(f'{email}[alarms.webhook]\nurl_file = "hook"\n')
    environ = {"HOTSWAP_LAB__ALARMS__EMAIL__PASSWORD": "hidden"}
    alarms = load(tmp_path, environ).revealed(environ).alarms
    assert alarms.email is not None
    assert alarms.webhook is not None
    assert (alarms.email.password, alarms.webhook.url) == ("hidden", "https://hidden/hook")
    assert "hidden" not in repr(alarms)
