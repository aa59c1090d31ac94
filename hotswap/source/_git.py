"""What the git program tells of working trees and commits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hotswap._names import counts
from hotswap.errors import SourceError

_OUTSIDE = ("not a git repository", "must be run in a work tree")
_FIELDS_BEFORE_PATH = {b"1": 8, b"2": 9, b"u": 10, b"?": 1}  # of porcelain v2, by kind of line
_NOT_OPENED = re.compile(r"could not open directory '(.*?)/?': (.*)")


class State(NamedTuple):
    """What is checked out: the full name of the commit (None before the first), and the paths that differ from it."""

    commit: str | None
    changed: frozenset[str]


class Blob(NamedTuple):
    """A file, a link or a submodule of a commit; ``path`` is posix and below the tree, ``size`` in bytes."""

    path: str
    mode: int
    sha: str
    size: int


def listed(folder: Path) -> list[str] | None:
    """Paths below ``folder`` that ``.gitignore`` does not name, in order; None outside of git.

    Raises ``SourceError`` if one of the folders cannot be read.
    """
    done = _done(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    if done is None:
        return None
    for path, reason in _NOT_OPENED.findall(os.fsdecode(done.stderr)):  # for git this is no error
        if counts(path):
            raise SourceError(
                f"The folder {path} in the repository around {folder} cannot be read ({reason}): make it readable or "
                "move it away."
            )
    return sorted({name for name in os.fsdecode(done.stdout).split("\0") if name})


def state(folder: Path, path: str = ".") -> State | None:
    """What is checked out around ``folder``, and what differs from it at or below ``path``; None outside of git."""
    asked = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--", path)
    told = _run(folder, "--no-optional-locks", *asked)
    if told is None:
        return None
    lines = told.split(b"\0")
    commit = next(line.removeprefix(b"# branch.oid ") for line in lines if line.startswith(b"# branch.oid "))
    return State(None if commit == b"(initial)" else commit.decode(), frozenset(_changed(lines)))


def blobs(folder: Path, tree: str) -> Iterator[Blob]:
    """All that the tree object ``tree`` of the repository ``folder`` holds, at any depth."""
    told = _run(folder, "ls-tree", "-r", "-l", "-z", "--full-tree", tree)
    for line in os.fsdecode(told or b"").split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, _, sha, size = facts.split()
            yield Blob(path, int(mode, 8), sha, int(size) if size != "-" else 0)


def _changed(lines: list[bytes]) -> Iterator[str]:
    moved = False
    for line in lines:
        kind = line[:1]
        if moved:
            yield os.fsdecode(line)  # where it was before
        elif count := _FIELDS_BEFORE_PATH.get(kind):
            yield os.fsdecode(line.split(b" ", count)[count])
        moved = not moved and kind == b"2"


def _run(folder: Path, *arguments: str) -> bytes | None:
    """What git prints, or None when ``folder`` is not in a working tree."""
    done = _done(folder, *arguments)
    return None if done is None else done.stdout


def _done(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    """What git prints and warns of, or None when ``folder`` is not in a working tree, or there is no git at all."""
    if shutil.which("git") is None:
        return None
    done = ask(folder, *arguments)
    if done.returncode == 0:
        return done
    reason = done.stderr.decode("utf-8", "replace").strip()
    if any(sign in reason for sign in _OUTSIDE):
        return None
    raise SourceError(f"git cannot read {folder}: {reason.splitlines()[0] if reason else 'it gives no reason'}.")


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """What git answers in ``folder``, whatever its exit status is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["LC_ALL"] = "C"  # the reasons are compared
    return subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, check=False)
