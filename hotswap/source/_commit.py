"""Packages as a commit has them, read from git objects."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from hotswap import roots
from hotswap._gitpython import git
from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits
from hotswap.roots import Root
from hotswap.snapshot import Origin
from hotswap.source import _git, _rules
from hotswap.source._dist_info import Project, places
from hotswap.source._on_disk import OnDisk, is_dirty
from hotswap.source._repository import committed, open_repository
from hotswap.source._source import SourceFile, metadata, tops

_LINK, _SUBMODULE = 0o120000, 0o160000


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
        self._outside = OnDisk(limits)
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
        return replace(committed(self._commit), dirty=any(map(is_dirty, self._outside.states())))

    def files(self) -> list[SourceFile]:
        """All files of the packages in the commit."""
        self._inside, self._outside, self._size = [], OnDisk(self._limits), 0
        return self._take(self._given)

    def follow(self, imported: frozenset[str]) -> list[SourceFile]:
        """Files of the local packages behind these names; see ``Following``."""
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
        before = tops(self._inside, new)
        self._inside += new
        blobs = [blob for root in new for blob in self._kept(root)]
        self._size += sum(blob.size for blob in blobs)
        _rules.check_paths((*before, *(blob.path for blob in blobs)), self._limits)
        _rules.check_total([self._size], self._limits)
        return [self._file(blob) for blob in blobs] + metadata(self._projects())

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


def _normal(path: str) -> str:
    normal = posixpath.normpath(path)
    if normal.startswith(("/", "..")):
        raise SourceError(f"The path {path} leaves the repository: give it relative to the repository's root.")
    return "" if normal == "." else normal
