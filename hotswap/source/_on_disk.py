"""Packages as they are on disk, and whether they moved since."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from itertools import zip_longest
from pathlib import Path

from hotswap import _names
from hotswap.limits import Limits
from hotswap.roots import Root
from hotswap.source import _git, _rules
from hotswap.source._dist_info import Project, places
from hotswap.source._folder import File, Folder, aside, moved
from hotswap.source._source import SourceFile, metadata, tops


class OnDisk:
    """Packages as they are on disk, and whether they moved since."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._roots: list[Root] = []
        self._folders: list[Folder] = []
        self._files: list[File] = []
        self._projects: list[Project] = []
        self._asked: list[Future[list[_git.State | None]]] = []

    def names(self) -> set[str]:
        return {root.name for root in self._roots}

    def own(self) -> tuple[Path, ...]:
        """Where the packages are that people edit, not those that an installer put there."""
        return tuple(root.path for root in self._roots if not root.copied)

    def take(self, new: list[Root]) -> list[SourceFile]:
        """Files of further packages, and the metadata of all."""
        before = tops(self._roots, new)
        self._roots += new
        folders = [Folder(root.path, root.name, copied=root.copied) for root in new]
        self._folders += folders
        self._asked.append(aside(partial(_states, folders)))
        files = [file for folder in folders for file in folder.files(self._limits)]
        self._files += files
        _rules.check_paths((*before, *(file.path for file in files)), self._limits)
        _rules.check_total((file.stat.st_size for file in self._files), self._limits)
        self._projects = list(self._find_projects())
        kept = [SourceFile(file.path, _rules.frozen_mode(file.stat.st_mode), file.key, file.read) for file in files]
        return kept + metadata(self._projects)

    def states(self) -> list[_git.State | None]:
        """What git told of each package that no installer put there, and of their projects."""
        return [state for asked in self._asked for state in asked.result()]

    def check(self) -> None:
        for folder in self._folders:
            folder.check()
        for before, now in zip_longest(self._projects, self._find_projects()):
            if before != now:
                raise moved((before or now).where)

    def _find_projects(self) -> Iterator[Project]:
        for folder in self._folders:
            place = _project_file(folder.path)
            if place is not None:
                yield Project(folder.name, str(place), _read(place))


def is_dirty(state: _git.State | None) -> bool:
    return state is None or any(_names.counts(path) for path in state.changed)


def _project_file(root: Path) -> Path | None:
    return next((place for place in map(Path, places(root)) if place.is_file() and not place.is_symlink()), None)


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as problem:
        raise _rules.unreadable(str(place), problem) from problem


def _states(folders: list[Folder]) -> list[_git.State | None]:
    own = [folder for folder in folders if not folder.copied]
    beside = {place for folder in own if (place := _project_file(folder.path)) is not None}
    return [*(folder.state() for folder in own), *(_git.state(place.parent, place.name) for place in beside)]
