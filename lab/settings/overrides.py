"""Settings that the environment gives in place of ``lab.toml``: ``HOTSWAP_LAB__SECTION__KEY``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from lab.settings.section import ConfigError

Table = dict[str, Any]
Key = tuple[str, ...]

PREFIX: Final = "HOTSWAP_LAB__"
SECRETS: Final = frozenset({"uri", "url", "password"})
"""What the keys are called whose values are shown to nobody."""

_SHORT: Final[dict[str, Key]] = {"LAB_STATE_DIR": ("general", "state_dir"), "LAB_PORT": ("server", "port")}


def overridden(table: Table, environ: Mapping[str, str]) -> tuple[Table, dict[Key, str]]:
    """The settings of a file with those of the environment in their place, and the variable of each of these.

    A variable without a value counts as one that is not set. Raises ConfigError for a list that cannot be read.
    """
    found = {key: name for name, key in _SHORT.items() if environ.get(name)}
    found |= {_key(name): name for name in sorted(environ) if name.startswith(PREFIX) and environ[name]}
    for key, variable in found.items():
        table = _with(table, key, _value(variable, environ[variable]))
    return table, found


def _key(variable: str) -> Key:
    return tuple(variable.removeprefix(PREFIX).lower().split("__"))


def _value(variable: str, text: str) -> Any:
    """Lists and tables are written as in TOML; what else it is, the key that it is for decides."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        # Not from the error, which may quote a secret.
        raise ConfigError(
            f"the environment variable {variable} is not a list or table as TOML writes it: correct it"
        ) from None


def _with(table: Table, key: Key, value: Any) -> Table:
    first, *rest = key
    if not rest:
        return {**table, first: value}
    inner = table.get(first, {})
    # What is no table is refused by name later.
    return {**table, first: _with(inner, tuple(rest), value)} if isinstance(inner, dict) else table


def forget_secrets(settings: Table, environ: MutableMapping[str, str]) -> None:
    """Take the variables that hold secrets out of an environment that other processes are to inherit."""
    overriding = [name for name in environ if name.startswith(PREFIX)]
    secret = [name for name in overriding if _is_secret(_key(name)[-1], _value(name, environ[name]))]
    for variable in (*_named(settings), *secret):
        environ.pop(variable, None)


def _is_secret(key: str, value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_secret(inner, each) for inner, each in value.items())
    return key in SECRETS


def _named(settings: Table) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _named(value)
        elif key.endswith("_env") and value is not None:
            yield value
