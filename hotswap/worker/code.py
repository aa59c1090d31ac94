"""The code that a worker follows: the commits of its repository, or, where there is none, what is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from hotswap.errors import SourceError
from hotswap.source import GitSource, Source, TreeSource, open_repository
from hotswap.triggers import CommitTrigger, SaveTrigger


class Trigger(Protocol):
    """Something that was started and can be stopped."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Code:
    """The package in the folder ``path``. With ``rev`` it is what that commit, branch or tag has.

    Raises SourceError when there is no such folder, or when ``rev`` is given outside of a repository.
    """

    def __init__(self, path: Path, rev: str | None = None) -> None:
        self._path = path.resolve()
        self._rev = rev
        if not self._path.is_dir():
            raise SourceError(f"There is no folder {path}: name the folder of the package to run.")
        self._top = _top(self._path, needed=rev is not None)

    @property
    def package(self) -> str:
        """The name it is imported under."""
        return self._path.name

    @property
    def in_git(self) -> bool:
        """Whether commits are followed, and not saved files."""
        return self._top is not None

    @contextmanager
    def source(self) -> Iterator[Source]:
        """What is to be frozen now. Raises SourceError."""
        if self._top is None:
            yield TreeSource(self._path)
            return
        with GitSource(self._top, self._path.relative_to(self._top).as_posix(), self._rev or "HEAD") as source:
            yield source

    def trigger(self, on_change: Callable[[], None]) -> Trigger:
        """Calls ``on_change`` for each commit that is checked out, or when saved files have settled."""
        if self._top is None:
            return SaveTrigger(self._path, on_change)
        return CommitTrigger(self._top, None, lambda _commit: on_change())


def _top(path: Path, *, needed: bool) -> Path | None:
    """The top folder of the working tree that ``path`` is in; None outside of any."""
    try:
        repository = open_repository(path)
    except SourceError:
        if needed:
            raise
        return None
    with repository:
        return Path(repository.working_tree_dir or repository.git_dir).resolve()
