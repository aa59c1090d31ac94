"""The git repository of a lab: changes are written into its files and committed, as a person would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab.demo.claims import StoryError

# Whatever this user or this machine has configured, the demo does the same everywhere.
GIT_ENVIRONMENT: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "demo",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "demo",
    "GIT_COMMITTER_EMAIL": "demo@localhost",
}


@dataclass(frozen=True)
class Edit:
    """In one file, the only occurrence of ``before`` becomes ``after``."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """One commit: edited files, and new ones with their text."""

    message: str
    edits: tuple[Edit, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def undone(self, message: str) -> Change:
        """The change that takes back the edits of this one."""
        return Change(message, tuple(Edit(edit.path, edit.after, edit.before) for edit in reversed(self.edits)))


@dataclass(frozen=True)
class Commit:
    """``at`` is the moment at which the branch moved."""

    hash: str
    message: str
    at: datetime


class Repository:
    """The working tree in ``folder``, on the branch that is checked out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def commit(self, change: Change) -> Commit:
        """Write and commit a change. Raises StoryError when it does not fit the files."""
        for edit in change.edits:
            self._edit(edit)
        for path, text in change.files.items():
            (self.folder / path).write_text(text, encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", change.message)
        return self.head()

    def head(self) -> Commit:
        """The newest commit."""
        branch = self._git("symbolic-ref", "HEAD")
        moved = datetime.fromtimestamp((self.folder / ".git" / branch).stat().st_mtime, UTC)
        return Commit(self._git("rev-parse", "HEAD"), self._git("log", "-1", "--format=%s"), moved)

    def line_of(self, path: str, text: str) -> int:
        """The number, from 1, of the first line that contains ``text``."""
        lines = (self.folder / path).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def _edit(self, edit: Edit) -> None:
        path = self.folder / edit.path
        text = path.read_text(encoding="utf-8")
        if text.count(edit.before) != 1:
            raise StoryError(f"{edit.path} does not contain {edit.before!r} exactly once; adapt lab/demo/changes.py.")
        path.write_text(text.replace(edit.before, edit.after), encoding="utf-8")

    def _git(self, *arguments: str) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        ran = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=kept | GIT_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise StoryError(f"`git {' '.join(arguments)}` failed: {ran.stderr.strip()}")
        return ran.stdout.strip()
