"""What a backup holds: its files with their digests, and the laboratory it is of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from blake3 import blake3

from hotswap.errors import HotswapError

NAME: Final = "manifest.json"
DATABASE: Final = "database"
CODE: Final = "code"
CHANGES: Final = "changes.bson"
"""What changed while the rest was written, to be applied after it."""

FORMAT: Final = 1


class BackupError(HotswapError):
    """A backup could not be taken, or cannot be restored."""


@dataclass
class Manifest:
    """``files`` maps each path in the folder to its ``size`` and ``blake3``; ``schema`` is the documents' version.

    ``settled``: nothing changed any more when the last of it was written. ``missing`` is code that was gone before.
    """

    lab: str
    database: str
    simulation: bool
    schema: int
    taken_at: str
    program: str
    settled: bool = True
    missing: list[str] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = FORMAT

    def add(self, folder: Path, path: Path) -> None:
        """Note a file of the folder as it is now."""
        self.files[path.relative_to(folder).as_posix()] = facts_of(path)

    def write(self, folder: Path) -> None:
        (folder / NAME).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read(folder: Path) -> Manifest:
    """The manifest of a backup, with every file compared with it. Raises BackupError, which names the file."""
    path = folder / NAME
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BackupError(f"{folder} holds no backup, as there is no {NAME}; name the folder of one.") from None
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{path} cannot be read ({error}); take another backup.") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{path} has format {manifest.format}, and this hotswap-lab reads {FORMAT}; use another one.")
    for name, facts in manifest.files.items():
        _compare(folder, name, facts)
    return manifest


def facts_of(path: Path) -> dict[str, Any]:
    digest = blake3()
    digest.update_mmap(path)
    return {"size": path.stat().st_size, "blake3": digest.hexdigest()}


def _compare(folder: Path, name: str, facts: dict[str, Any]) -> None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise BackupError(f"The backup names {name!r}, which is not in its folder; take another backup.")
    path = folder / name
    if not path.is_file():
        raise BackupError(f"{path} is missing from the backup; copy it again, or use another backup.")
    if facts_of(path) != facts:
        raise BackupError(f"{path} is not as it was written; copy it again, or use another backup.")
