"""Alarms of a launched lab reach a mail server and a web server, with secrets that are in files of the lab's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from laboratory import Laboratory, laboratory
from receivers import Hook, Mailbox

pytestmark = pytest.mark.system

PASSWORD, PATH = "hidden-password", "/hidden-path"
SETTINGS = """
[alarms]
in_simulation = true

[alarms.email]
host = "127.0.0.1"
port = {port}
tls = "none"
user = "lab"
password_file = "secrets/email"
sender = "lab@example.org"
receivers = ["ada@example.org"]

[alarms.webhook]
url_file = "secrets/webhook"
"""


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with closing(Mailbox("lab", PASSWORD)) as made:
        yield made


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with closing(Hook()) as made:
        yield made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox, hook: Hook) -> Iterator[Laboratory]:
    def add_secrets(made: Laboratory) -> None:
        made.edit("lab.toml", 'trigger = "commit"', 'trigger = "save"')  # so files are frozen that git does not know
        secrets = made.folder / "secrets"
        secrets.mkdir()
        (secrets / ".gitignore").write_text("*\n")
        for name, secret in (("email", PASSWORD), ("webhook", hook.url + PATH)):
            (secrets / name).touch(mode=0o600)
            (secrets / name).write_text(secret)

    with laboratory(tmp_path_factory.mktemp("alarmed"), SETTINGS.format(port=mailbox.port), add_secrets) as launched:
        yield launched


def test_a_device_that_fails_over_and_over_is_told_of_once_by_each_channel(
    lab: Laboratory, mailbox: Mailbox, hook: Hook
) -> None:
    def told() -> tuple[str, str]:
        path, body = hook.next()
        assert path == PATH
        return mailbox.next()["text"], body["text"]

    lab.records.log("device.error", "furnace_1", reason="no answer")
    for text in told():
        assert "Device furnace_1 is in error: no answer" in text
    for _ in range(4):
        lab.records.log("device.error", "furnace_1", reason="no answer")
    lab.records.log("task.lost", "t")
    for text in told():
        assert "Task t is LOST" in text
        assert "furnace_1" not in text
    lab.until(lambda: lab.records.database["alarms"].count_documents({"kind": "device.error"}) == 5)
    assert lab.records.database["alarm_messages"].count_documents({}) == 2


def test_the_secrets_are_in_no_code_that_is_kept_and_in_no_log(lab: Laboratory) -> None:
    before = lab.generation()
    code = lab.write_code()
    lab.until(lambda: lab.generation() > before)
    kept = [path.read_bytes() for path in (lab.state / "store").rglob("*") if path.is_file()]
    assert [content for content in kept if code.encode() in content]
    logs = [path.read_bytes() for path in lab.state.rglob("*.log")]
    assert logs
    for secret in (PASSWORD, PATH):
        assert not [content for content in (*kept, *logs) if secret.encode() in content]
