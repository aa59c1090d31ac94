"""Where code to freeze comes from: a git commit, read from git objects, or a working tree."""

from __future__ import annotations

import contextlib
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

from hotswap import _git, _names, _rules
from hotswap._dist_info import Project, of_projects, places
from hotswap._folder import Folder, aside, moved
from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits
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
    the source, or use it as a context manager. ``extra`` are the paths of other packages to freeze beside it.
    """

    def __init__(
        self,
        repo: Path | git.Repo,
        package: str,
        rev: str = "HEAD",
        *,
        extra: tuple[str, ...] = (),
        limits: Limits = LIMITS,
    ) -> None:
        self._owned = not isinstance(repo, git.Repo)
        self._repo = repo if isinstance(repo, git.Repo) else open_repository(repo)
        self._limits = limits
        self._roots = tuple(_normal(path) for path in (package, *extra))
        names = [self._name(root) for root in self._roots]
        _rules.check_names(zip(names, (self._home / root for root in self._roots), strict=True))
        self.package = names[0]
        self._commit = self._resolve(rev)

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
        """The commit."""
        return _committed(self._commit)

    def files(self) -> list[SourceFile]:
        """All files of the packages in the commit."""
        blobs = [(self._name(root), blob) for root in self._roots for blob in self._kept(root)]
        _rules.check_paths((f"{name}/{blob.path}" for name, blob in blobs), self._limits)
        _rules.check_total((blob.size for _, blob in blobs), self._limits)
        return [self._file(f"{name}/{blob.path}", blob) for name, blob in blobs] + _metadata(self._projects())

    def check(self) -> None:
        """A commit never moves."""

    @property
    def _home(self) -> Path:
        return Path(self._repo.working_tree_dir or self._repo.git_dir)

    def _name(self, root: str) -> str:
        return PurePosixPath(root).name or self._home.name

    def _resolve(self, rev: str) -> git.Commit:
        try:
            found = self._repo.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        except git.GitCommandError as problem:
            raise SourceError(
                f"The repository {self._home} has no commit {rev!r}: name a branch, a tag or a commit that exists."
            ) from problem
        return self._repo.commit(found)

    def _kept(self, root: str) -> Iterator[_git.Blob]:
        """What belongs to the package at ``root``, below its name; in the place of a link, what it leads to."""
        prefix = self._name(root)
        entries = {blob.path: blob for blob in _git.blobs(self._home, self._tree(root))}
        links = {path: self._link(blob) for path, blob in entries.items() if blob.mode == _LINK}
        for path in _rules.kept(entries, prefix, f"commit {self._commit.hexsha[:12]} of {self._home}"):
            blob = entries[_rules.follow(path, links, entries, f"{prefix}/{path}") if links else path]
            if blob.mode == _SUBMODULE:
                raise _rules.submodule(f"{prefix}/{path}")
            _rules.check_size(f"{prefix}/{path}", blob.size, self._limits)
            yield blob._replace(path=path)

    def _projects(self) -> Iterator[Project]:
        for root in filter(None, self._roots):
            for place in map(str, places(PurePosixPath(root))):
                with contextlib.suppress(KeyError):
                    found = self._commit.tree / place
                    if isinstance(found, git.Blob) and found.mode != _LINK:
                        where = f"{place} of commit {self._commit.hexsha[:12]}"
                        yield Project(self._name(root), where, self._data(found.hexsha))
                        break

    def _file(self, path: str, blob: _git.Blob) -> SourceFile:
        read = partial(self._content, path, blob.sha)
        return SourceFile(path, _rules.frozen_mode(blob.mode), f"git:{blob.sha}", read)

    def _tree(self, root: str) -> str:
        try:
            tree = self._commit.tree / root if root else self._commit.tree
        except KeyError:
            tree = None
        if not isinstance(tree, git.Tree):
            raise SourceError(
                f"Commit {self._commit.hexsha[:12]} of {self._home} has no folder {root}: "
                "commit the package first, or name another revision."
            )
        return tree.hexsha

    def _link(self, blob: _git.Blob) -> str:
        return os.fsdecode(self._data(blob.sha))

    def _content(self, path: str, sha: str) -> bytes:
        return _rules.checked(path, self._data(sha))

    def _data(self, sha: str) -> bytes:
        data: bytes = self._repo.odb.stream(bytes.fromhex(sha)).read()
        return data


class TreeSource:
    """The package in the folder ``package_dir``, as it is on disk now.

    What ``.gitignore`` ignores, byte-code and virtual environments do not belong to it. ``extra`` are the folders
    of other packages to freeze beside it.
    """

    def __init__(self, package_dir: Path, *, extra: tuple[Path, ...] = (), limits: Limits = LIMITS) -> None:
        roots = [Path(root).absolute() for root in (package_dir, *extra)]
        for root in roots:
            if not root.is_dir():
                raise SourceError(f"There is no folder {root}: name the folder of a package.")
        _rules.check_names((root.name, root) for root in roots)
        self.package = roots[0].name
        self._folders = [Folder(root) for root in roots]
        self._limits = limits
        self._projects: list[Project] = []
        self._asked: Future[Origin] | None = None

    @property
    def origin(self) -> Origin:
        """The commit that was checked out when ``files`` was called, dirty if a file of the packages differs from it.

        No commit outside of git, or when the packages are of different ones.
        """
        return (self._asked or self._ask()).result()

    def files(self) -> list[SourceFile]:
        """All files of the packages on disk."""
        self._asked = self._ask()
        files = [file for folder in self._folders for file in folder.files(self._limits)]
        _rules.check_paths((file.path for file in files), self._limits)
        _rules.check_total((file.stat.st_size for file in files), self._limits)
        self._projects = list(self._find_projects())
        kept = [SourceFile(file.path, _rules.frozen_mode(file.stat.st_mode), file.key, file.read) for file in files]
        return kept + _metadata(self._projects)

    def check(self) -> None:
        """Raise ``SourceError`` if a file appeared, changed or went away since ``files`` was called."""
        for folder in self._folders:
            folder.check()
        for before, now in zip_longest(self._projects, self._find_projects()):
            if before != now:
                raise moved((before or now).where)

    def _ask(self) -> Future[Origin]:
        return aside(partial(_origin, [folder.root for folder in self._folders]))

    def _find_projects(self) -> Iterator[Project]:
        for folder in self._folders:
            place = _project_file(folder.root)
            if place is not None:
                yield Project(folder.root.name, str(place), _read(place))


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


def _origin(roots: list[Path]) -> Origin:
    """What all the folders have in common."""
    states = [_git.state(root) for root in roots]
    commits = {state.commit if state else None for state in states}
    commit = commits.pop()
    if commits or commit is None:
        return Origin(dirty=True)
    beside = {place for root in roots if (place := _project_file(root)) is not None}
    states += [_git.state(place.parent, place.name) for place in beside]
    changed = any(_names.counts(path) for state in states if state for path in state.changed)
    return replace(_commit(roots[0], commit), dirty=changed)


@lru_cache(maxsize=64)
def _commit(folder: Path, name: str) -> Origin:
    with open_repository(folder) as repo:
        return _committed(repo.commit(name))


def _normal(path: str) -> str:
    normal = posixpath.normpath(path)
    if normal.startswith(("/", "..")):
        raise SourceError(f"The path {path} leaves the repository: give it relative to the repository's root.")
    return "" if normal == "." else normal
