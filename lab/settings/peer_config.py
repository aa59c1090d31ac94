"""The settings of an AlabOS laboratory, ``config.toml``, written anew as ``lab.toml``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from hotswap.files import write_private
from lab.settings.config import FILE_NAME, load, parse
from lab.settings.section import ConfigError

Table = dict[str, Any]

SECRETS_FOLDER: Final = "secrets"
_MAIL_HOST: Final = "smtp.gmail.com"
_SERVER: Final = frozenset({"host", "port", "username", "password"})
_EMAIL: Final = frozenset({"email_receivers", "email_sender", "email_password"})
_KNOWN: Final = {
    "general": frozenset({"name", "working_dir", "auto_refresh"}),
    "mongodb": _SERVER,
    "mongodb_completed": _SERVER,
    "rabbitmq": frozenset({"host", "port"}),
    "alarm": _EMAIL | {"slack_bot_token", "slack_channel_id"},
}
_NOT_NEEDED: Final = "large_result_storage"


@dataclass
class Carried:
    """What becomes of a ``config.toml``: sections of ``lab.toml``, secrets by file name, and what to be told of."""

    folder: Path
    sections: dict[str, Table] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, section: str, **values: Any) -> None:
        self.sections.setdefault(section, {}).update(values)

    def text(self) -> str:
        """The ``lab.toml``."""
        blocks = [
            "\n".join([f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())])
            for name, values in self.sections.items()
        ]
        return "\n\n".join(blocks) + "\n"


def carry_over(file: Path) -> Carried:
    """What a ``config.toml`` says, in our words. Raises ConfigError when it cannot be read."""
    table = parse(file)
    package = (file.resolve().parent / str(_table(table, "general").get("working_dir", "."))).resolve()
    carried = Carried(package.parent)
    _general(carried, _table(table, "general"), package)
    _database(carried, _table(table, "mongodb"), _table(table, "mongodb_completed"))
    _broker(carried, _table(table, "rabbitmq"))
    _alarm(carried, _table(table, "alarm"))
    if _NOT_NEEDED in table:
        carried.notes.append(f"[{_NOT_NEEDED}] is not needed: large results are kept in the database")
    carried.notes += [f"{name} is not known and was left out" for name in _unknown(table)]
    return carried


def write(carried: Carried) -> Path:
    """Write ``lab.toml`` beside the lab package, and each secret into a file of its own.

    Raises ConfigError, with nothing written, when there is a ``lab.toml`` or it would not be a valid one.
    """
    target = carried.folder / FILE_NAME
    if target.exists():
        raise ConfigError(f"{target} exists: move it away first")
    secrets = carried.folder / SECRETS_FOLDER
    if carried.secrets and secrets.exists():
        raise ConfigError(f"{secrets} exists: move it away first")
    target.write_text(carried.text(), encoding="utf-8")
    try:
        load(target)
    except ConfigError:
        target.unlink()
        raise
    for name, secret in carried.secrets.items():
        write_private(secrets / name, f"{secret}\n")
    if carried.secrets:
        write_private(secrets / ".gitignore", "*\n")
    return target


def _table(table: Table, name: str) -> Table:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{name} must be a table: write it as [{name}]")
    return found


def _unknown(table: Table) -> list[str]:
    sections = [f"[{name}]" for name in sorted(table.keys() - _KNOWN.keys() - {_NOT_NEEDED})]
    return sections + [
        f"{name}.{key}" for name, keys in _KNOWN.items() for key in sorted(_table(table, name).keys() - keys)
    ]


def _general(carried: Carried, general: Table, package: Path) -> None:
    carried.put("general", name=str(general.get("name", package.name)), package=package.name)
    if general.get("auto_refresh"):
        carried.put("general", auto_refresh=True, trigger="save")
        carried.notes.append('general.trigger is "save", as auto_refresh watched files; "commit" is the safer choice')
    carried.put("general", simulation=True)
    carried.notes.append(
        "general.simulation is on; what SIM_MODE_FLAG=false was, is now simulation = false in this file"
    )


def _database(carried: Carried, live: Table, completed: Table) -> None:
    if live:
        _uri(carried, "mongodb", "uri", _mongodb(live), "password" in live)
        carried.notes.append("no data are carried over: the lab has a database of its own name on that server")
    if completed:
        carried.put("archive", database=_archive_name(carried), after_days=0)
        _uri(carried, "archive", "uri", _mongodb(completed), "password" in completed)


def _broker(carried: Carried, broker: Table) -> None:
    if broker:
        _uri(carried, "broker", "url", f"amqp://{broker.get('host', 'localhost')}:{broker.get('port', 5672)}", False)
        carried.notes.append(
            "broker.url names RabbitMQ, which needs `pip install 'dramatiq[rabbitmq]'`; without [broker] the lab "
            "starts a broker of its own"
        )


def _alarm(carried: Carried, alarm: Table) -> None:
    receivers = alarm.get("email_receivers") or []
    if receivers and alarm.get("email_sender"):
        sender = str(alarm["email_sender"])
        listed = [receivers] if isinstance(receivers, str) else list(receivers)
        carried.put("alarms.email", host=_MAIL_HOST, port=587, sender=sender, receivers=listed)
        carried.notes.append(f"alarms.email.host is {_MAIL_HOST}, as it was before: correct it if that is not yours")
        if alarm.get("email_password"):
            carried.put("alarms.email", user=sender, password_file=f"{SECRETS_FOLDER}/email")
            carried.secrets["email"] = str(alarm["email_password"])
    elif any(alarm.get(key) for key in _EMAIL):
        carried.notes.append("no alarms by e-mail: [alarm] needs both email_receivers and email_sender for them")
    if alarm.get("slack_bot_token") or alarm.get("slack_channel_id"):
        carried.notes.append(
            "the Slack token cannot be carried over: make an incoming webhook for that channel, and name a file with "
            "its address with url_file in [alarms.webhook]"
        )


def _archive_name(carried: Carried) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", carried.sections["general"]["name"])
    return f"{name[:40]}_completed"


def _mongodb(server: Table) -> str:
    login = ""
    if server.get("username"):
        password = f":{quote(str(server['password']), safe='')}" if server.get("password") else ""
        login = f"{quote(str(server['username']), safe='')}{password}@"
    return f"mongodb://{login}{server.get('host', 'localhost')}:{server.get('port', 27017)}/"


def _uri(carried: Carried, section: str, key: str, value: str, secret: bool) -> None:
    if secret:
        carried.secrets[section] = value
        carried.put(section, **{f"{key}_file": f"{SECRETS_FOLDER}/{section}"})
    else:
        carried.put(section, **{key: value})


def _toml(value: Any) -> str:
    # A JSON text, number, truth value or list of those is one in TOML, too.
    return json.dumps(value, ensure_ascii=False)
