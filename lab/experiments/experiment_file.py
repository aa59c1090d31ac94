"""Experiments in files: JSON or YAML."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import yaml

from hotswap.errors import HotswapError


class ExperimentFileError(HotswapError):
    """A file holds no experiment that could be read."""


def read(text: bytes, name: str) -> dict[str, Any]:
    """The experiment in a file called ``name``: JSON if it begins with a brace or a bracket, else YAML.

    Raises ExperimentFileError, one sentence with the line.
    """
    kind = "JSON" if text.lstrip()[:1] in (b"{", b"[") else "YAML"
    try:
        found = json.loads(text) if kind == "JSON" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ExperimentFileError(f"{name} is not {kind}: {reason}; correct it.") from error
    if not isinstance(found, dict):
        raise ExperimentFileError(f"{name} holds no experiment: write an entry per line, as `name: first light`.")
    return {str(key): _timeless(value) for key, value in found.items()}


def _timeless(value: Any) -> Any:
    """YAML makes dates of what looks like one; in JSON they are text."""
    if isinstance(value, dict):
        return {str(key): _timeless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_timeless(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value
