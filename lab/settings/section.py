"""What every table of ``lab.toml`` is built on, and where its secrets come from."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hotswap.errors import HotswapError


class ConfigError(HotswapError):
    """The settings cannot be used."""


class Section(BaseModel):
    """One table of ``lab.toml``: it has the keys it says, and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached by that name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def revealed(
    key: str, value: str | None, variable: str | None, file: Path | None, environ: Mapping[str, str]
) -> dict[str, str | None]:
    """The fields of a section with the secret ``key`` in its place, and no more said of where it was.

    It is ``value``, or what the environment variable or the file holds; None when none is named. Raises ConfigError,
    which never has the secret in it, when it is named twice or cannot be had, or when others than its owner can read
    the file.
    """
    if sum(each is not None for each in (value, variable, file)) > 1:
        raise ConfigError(f"{key} is given more than once: keep one of {key}, {key}_env and {key}_file")
    if variable is not None:
        if not environ.get(variable):
            raise ConfigError(f"{key}_env names the environment variable {variable}, which is not set: set it")
        value = environ[variable]
    if file is not None:
        value = _content(key, file)
    name = key.rpartition(".")[2]
    return {name: value, f"{name}_env": None, f"{name}_file": None}


def _content(key: str, file: Path) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(f"{key}_file: others can read {file}: run `chmod 600 {file}`")
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{key}_file: {file} cannot be read ({reason}): write the secret into it") from error
    if not text:
        raise ConfigError(f"{key}_file: {file} is empty: write the secret into it")
    return text
