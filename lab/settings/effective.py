"""The settings as they take effect, each with where it comes from; secrets are not shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.settings.config import Written, read, settings_of
from lab.settings.overrides import SECRETS, Key, Table


@dataclass(frozen=True)
class Setting:
    """``origin`` is ``default``, a file, or an environment variable."""

    key: str
    value: Any
    origin: str


def effective(folder: Path | None, environ: Mapping[str, str] = os.environ) -> list[Setting]:
    """Every setting of the laboratory of a folder. Raises ConfigError."""
    written = read(folder, environ)
    table = settings_of(written, environ).model_dump(mode="json", exclude={"lab_dir"})
    return [Setting(".".join(key), _shown(key[-1], value), _origin(written, key)) for key, value in _leaves(table, ())]


def _leaves(table: Table, above: Key) -> Iterator[tuple[Key, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _origin(written: Written, key: Key) -> str:
    for given, variable in written.variables.items():
        if key[: len(given)] == given:
            return variable
    value: Any = written.in_file
    for name in key:
        if not isinstance(value, dict) or name not in value:
            return "default"
        value = value[name]
    return str(written.file)


def _shown(name: str, value: Any) -> Any:
    """Of the address of a server, which may hold a password, no more than host and port."""
    if name not in SECRETS or value is None:
        return value
    try:
        parts = urlsplit(str(value))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "***"
    is_server = parts.scheme.startswith(("mongodb", "redis", "amqp")) and parts.hostname
    return f"{parts.scheme}://***@{parts.hostname}{port}" if is_server else "***"
