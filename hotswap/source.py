"""Where code to freeze comes from: a git commit, read from git objects, or a working tree."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import lru_cache, partial
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import git

from hotswap import _git, _names, _rules, roots
from hotswap._dist_info import Project, of_projects, places
from hotswap._folder import File, Folder, aside, moved
from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits
from hotswap.roots import Root
from hotswap.snapshot import Origin

_LINK, _SUBMODULE = 0o120000, 0o160000


class SourceFile(NamedTuple):
    """A file to freeze: posix ``path`` below the snapshot root, mode 0o644 or 0o755.

    ``key`` names the content for as long as it is the same, so that it need not be read again (None: it must).
    ``read`` gives the content, or raises ``SourceError``.
    """

    path: str
    mode: int
    key: str | None
    read: Callable[[], bytes]


class Source(Protocol):
    """Something that can be frozen."""

    @property
    def package(self) -> str:
        """The name it is imported under."""

    @property
    def origin(self) -> Origin:
        """Where the content comes from, as far as known."""

    def files(self) -> list[SourceFile]:
        """All files that belong to it; raises ``SourceError`` naming the first that cannot be frozen."""

    def check(self) -> None:
        """Raise ``SourceError`` if it moved since ``files`` was called."""


class GitSource:
    """The package at the posix path ``package`` of a repository, as the commit ``rev`` has it.

    The working tree is never read. ``repo`` may be an open ``git.Repo``, which is then left open; otherwise close
    the source, or use it as a context manager. ``extra`` are the paths of other packages, or modules of a single
    file, to freeze beside it. Unless ``local`` is false so are the local packages that the code imports: from the
    commit, or as they are on disk if that is outside of this repository.
    """

    def __init__(
        self,
        repo: Path | git.Repo,
        package: str,
        rev: str = "HEAD",
        *,
        extra: tuple[str, ...] = (),
        local: bool = True,
        limits: Limits = LIMITS,
    ) -> None:
        self._owned = not isinstance(repo, git.Repo)
        self._repo = repo if isinstance(repo, git.Repo) else open_repository(repo)
        self._limits = limits
        self._given = [Root.at(self._home / _normal(path)) for path in (package, *extra)]
        _rules.check_names((root.name, root.path) for root in self._given)
        self.package = self._given[0].name
        self._commit = self._resolve(rev)
        self._local = local
        self._view = _CommitView(self._home, self._commit)
        self._inside: list[Root] = []
        self._outside = _OnDisk(limits)
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the git processes that served this source."""
        if self._owned:
            self._repo.close()

    @property
    def origin(self) -> Origin:
        """The commit; dirty if a package outside of the repository is not as a commit of its own has it."""
        return replace(_committed(self._commit), dirty=any(map(_is_dirty, self._outside.states())))

    def files(self) -> list[SourceFile]:
        """All files of the packages in the commit."""
        self._inside, self._outside, self._size = [], _OnDisk(self._limits), 0
        return self._take(self._given)

    def follow(self, imported: frozenset[str]) -> list[SourceFile]:
        """Files of the local packages behind these names; see ``roots.Following``."""
        if not self._local:
            return []
        known = {root.name for root in self._inside} | self._outside.names()
        new = roots.find(imported, known, self._given[0].path.parent, self._view)
        outside = [root for root in new if root.copied or self._view.below(root.path) is None]
        inside = [root for root in new if root not in outside]
        return (self._take(inside) if inside else []) + (self._outside.take(outside) if outside else [])

    def check(self) -> None:
        """A commit never moves; raises ``SourceError`` if a package outside of the repository did."""
        self._outside.check()

    @property
    def _home(self) -> Path:
        return Path(self._repo.working_tree_dir or self._repo.git_dir)

    def _take(self, new: list[Root]) -> list[SourceFile]:
        """Files of further packages in the commit, and the metadata of all."""
        before = _tops(self._inside, new)
        self._inside += new
        blobs = [blob for root in new for blob in self._kept(root)]
        self._size += sum(blob.size for blob in blobs)
        _rules.check_paths((*before, *(blob.path for blob in blobs)), self._limits)
        _rules.check_total([self._size], self._limits)
        return [self._file(blob) for blob in blobs] + _metadata(self._projects())

    def _resolve(self, rev: str) -> git.Commit:
        try:
            found = self._repo.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        except git.GitCommandError as problem:
            raise SourceError(
                f"The repository {self._home} has no commit {rev!r}: name a branch, a tag or a commit that exists."
            ) from problem
        return self._repo.commit(found)

    def _kept(self, root: Root) -> Iterator[_git.Blob]:
        """What belongs to a package, by its path in the snapshot; in the place of a link, what it leads to."""
        prefix = "" if root.is_module else f"{root.name}/"
        entries = {blob.path: blob for blob in self._blobs(root)}
        links = {path: self._link(blob) for path, blob in entries.items() if blob.mode == _LINK}
        for path in _rules.kept(entries, root.name, f"commit {self._commit.hexsha[:12]} of {self._home}"):
            blob = entries[_rules.follow(path, links, entries, f"{prefix}{path}") if links else path]
            if blob.mode == _SUBMODULE:
                raise _rules.submodule(f"{prefix}{path}")
            _rules.check_size(f"{prefix}{path}", blob.size, self._limits)
            yield blob._replace(path=f"{prefix}{path}")

    def _blobs(self, root: Root) -> Iterable[_git.Blob]:
        place = self._place(root)
        found = self._view.object(place)
        if isinstance(found, git.Tree):
            return _git.blobs(self._home, found.hexsha)
        if isinstance(found, git.Blob) and root.is_module:
            return [_git.Blob(root.path.name, found.mode, found.hexsha, found.size)]
        kind = "file" if root.is_module else "folder"
        raise SourceError(
            f"Commit {self._commit.hexsha[:12]} of {self._home} has no {kind} {place}: "
            "commit the package first, or name another revision."
        )

    def _place(self, root: Root) -> str:
        return root.path.relative_to(self._home).as_posix()

    def _projects(self) -> Iterator[Project]:
        for root in self._inside:
            for place in map(str, places(PurePosixPath(self._place(root)))):
                found = self._view.object(place)
                if isinstance(found, git.Blob) and found.mode != _LINK:
                    where = f"{place} of commit {self._commit.hexsha[:12]}"
                    yield Project(root.name, where, self._data(found.hexsha))
                    break

    def _file(self, blob: _git.Blob) -> SourceFile:
        read = partial(self._content, blob.path, blob.sha)
        return SourceFile(blob.path, _rules.frozen_mode(blob.mode), f"git:{blob.sha}", read)

    def _link(self, blob: _git.Blob) -> str:
        return os.fsdecode(self._data(blob.sha))

    def _content(self, path: str, sha: str) -> bytes:
        return _rules.checked(path, self._data(sha))

    def _data(self, sha: str) -> bytes:
        data: bytes = self._repo.odb.stream(bytes.fromhex(sha)).read()
        return data


class _CommitView:
    """What a search for packages sees when a commit stands in the place of the working tree ``home``."""

    def __init__(self, home: Path, commit: git.Commit) -> None:
        self._home = home
        self._commit = commit
        self._tops: dict[Path, Path | None] = {}

    def is_file(self, path: Path) -> bool:
        inside = self.below(path)
        return path.is_file() if inside is None else isinstance(self.object(inside), git.Blob)

    def holds_code(self, folder: Path) -> bool:
        inside = self.below(folder)
        if inside is None:
            return roots.Disk().holds_code(folder)
        found = self.object(inside)
        return isinstance(found, git.Tree) and any(
            blob.path.endswith(".py") for blob in _git.blobs(self._home, found.hexsha)
        )

    def below(self, path: Path) -> str | None:
        """The posix path in the repository; None if it is outside, or in another repository within."""
        if path.parent not in self._tops:
            self._tops[path.parent] = roots.working_tree(path.parent)
        top = path if (path / ".git").exists() else self._tops[path.parent]
        if top is None and path.is_relative_to(self._home):
            top = self._home  # it is bare
        return path.relative_to(top).as_posix() if top and top.resolve() == self._home.resolve() else None

    def object(self, path: str) -> object:
        """The tree or blob at a posix path of the commit, or None."""
        found: object = self._commit.tree
        for part in PurePosixPath(path).parts:
            try:
                found = found[part] if isinstance(found, git.Tree) else None
            except KeyError:
                return None
        return found


class TreeSource:
    """The package in the folder ``package_dir``, as it is on disk now.

    What ``.gitignore`` ignores, byte-code and virtual environments do not belong to it. ``extra`` are the folders
    of other packages, or modules of a single file, to freeze beside it. Unless ``local`` is false so are the local
    packages that the code imports.
    """

    def __init__(
        self, package_dir: Path, *, extra: tuple[Path, ...] = (), local: bool = True, limits: Limits = LIMITS
    ) -> None:
        self._given = [Root.at(Path(path).absolute()) for path in (package_dir, *extra)]
        for root in self._given:
            if not (root.path.is_dir() or (root.is_module and root.path.is_file() and root is not self._given[0])):
                raise SourceError(f"There is no folder {root.path}: name the folder of a package.")
        _rules.check_names((root.name, root.path) for root in self._given)
        self.package = self._given[0].name
        self._local = local
        self._limits = limits
        self._disk: _OnDisk | None = None

    @property
    def origin(self) -> Origin:
        """The commit that was checked out around the package when ``files`` was called; no commit outside of git.

        Dirty if a file of any of the packages differs from what its repository has, or is in none.
        """
        states = self._listed().states()
        if states[0] is None or states[0].commit is None:
            return Origin(dirty=True)
        return replace(_commit(self._given[0].path, states[0].commit), dirty=any(map(_is_dirty, states)))

    def files(self) -> list[SourceFile]:
        """All files of the packages on disk."""
        self._disk = _OnDisk(self._limits)
        return self._disk.take(self._given)

    def follow(self, imported: frozenset[str]) -> list[SourceFile]:
        """Files of the local packages behind these names; see ``roots.Following``."""
        if not self._local:
            return []
        disk = self._listed()
        new = roots.find(imported, disk.names(), self._given[0].path.parent, roots.Disk())
        return disk.take(new) if new else []

    def check(self) -> None:
        """Raise ``SourceError`` if a file appeared, changed or went away since ``files`` was called."""
        self._listed().check()

    def _listed(self) -> _OnDisk:
        if self._disk is None:
            self.files()
        assert self._disk
        return self._disk


class _OnDisk:
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

    def take(self, new: list[Root]) -> list[SourceFile]:
        """Files of further packages, and the metadata of all."""
        before = _tops(self._roots, new)
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
        return kept + _metadata(self._projects)

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


def _tops(known: list[Root], new: list[Root]) -> set[str]:
    """Stand for the files of known packages when those of new ones, which may be parts of them, are checked."""
    return {root.top for root in known}.difference(root.top for root in new)


def _metadata(projects: Iterable[Project]) -> list[SourceFile]:
    """What ``importlib.metadata`` will find beside the packages."""
    return [SourceFile(path, 0o644, None, partial(bytes, data)) for path, data in of_projects(projects).items()]


def _project_file(root: Path) -> Path | None:
    return next((place for place in map(Path, places(root)) if place.is_file() and not place.is_symlink()), None)


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as problem:
        raise _rules.unreadable(str(place), problem) from problem


def open_repository(path: Path) -> git.Repo:
    """The git repository that ``path`` is in; the caller closes it. Raises ``SourceError`` outside of any."""
    try:
        return git.Repo(path, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as problem:
        raise SourceError(
            f"{path} is not in a git repository: freeze the working tree instead, or run `git init` there."
        ) from problem


def _committed(commit: git.Commit) -> Origin:
    return Origin(
        commit=commit.hexsha,
        dirty=False,
        author=f"{commit.author.name} <{commit.author.email}>",
        committed_at=commit.committed_datetime,
        message=str(commit.message).strip(),
    )


def _states(folders: list[Folder]) -> list[_git.State | None]:
    own = [folder for folder in folders if not folder.copied]
    beside = {place for folder in own if (place := _project_file(folder.path)) is not None}
    return [*(folder.state() for folder in own), *(_git.state(place.parent, place.name) for place in beside)]


def _is_dirty(state: _git.State | None) -> bool:
    return state is None or any(_names.counts(path) for path in state.changed)


@lru_cache(maxsize=64)
def _commit(folder: Path, name: str) -> Origin:
    with open_repository(folder) as repo:
        return _committed(repo.commit(name))


def _normal(path: str) -> str:
    normal = posixpath.normpath(path)
    if normal.startswith(("/", "..")):
        raise SourceError(f"The path {path} leaves the repository: give it relative to the repository's root.")
    return "" if normal == "." else normal
