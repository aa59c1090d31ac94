"""What the processes of a laboratory leave on disk about themselves, read by those who come later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hotswap.process import Identity


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None when it vanished, or a crash of the host left only part of it."""
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def living(path: Path) -> Identity | None:
    """The process a record names as its ``identity``, if that process runs."""
    record = read_record(path) or {}
    try:
        identity = Identity.from_dict(record["identity"])
    except (KeyError, TypeError, ValueError):
        return None
    return identity if identity.alive() else None
