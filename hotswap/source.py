"""Where code to freeze comes from: a git commit, read from git objects, or a working tree."""

from __future__ import annotations

import os
import posixpath
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISLNK
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import git
from git.objects.fun import tree_entries_from_data

from hotswap import _names, _rules
from hotswap.digest import stat_key
from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits
from hotswap.snapshot import Origin

_LINK, _SUBMODULE = 0o120000, 0o160000
_TREES: dict[bytes, list[tuple[bytes, int, str]]] = {}
_TREES_LIMIT = 50_000


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
        files = [file for root in self._roots for file in self._files(root)]
        _rules.check_paths((file.path for file in files), self._limits)
        return files

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

    def _files(self, root: str) -> Iterator[SourceFile]:
        prefix = self._name(root)
        entries = {path: (mode, sha) for path, mode, sha in self._walk(self._tree(root), "")}
        where = f"commit {self._commit.hexsha[:12]} of {self._home}"
        links = {
            path: self._content(path, sha).decode("utf-8", "surrogateescape")
            for path, (mode, sha) in entries.items()
            if mode == _LINK
        }
        for path in _rules.kept(entries, prefix, where):
            target = _rules.follow(path, links, entries, f"{prefix}/{path}")
            mode, sha = entries[target]
            if mode == _SUBMODULE:
                raise _rules.submodule(f"{prefix}/{path}")
            full = f"{prefix}/{path}"
            yield SourceFile(full, _rules.frozen_mode(mode), f"git:{sha.hex()}", partial(self._content, full, sha))

    def _tree(self, root: str) -> bytes:
        try:
            tree = self._commit.tree / root if root else self._commit.tree
        except KeyError:
            tree = None
        if not isinstance(tree, git.Tree):
            raise SourceError(
                f"Commit {self._commit.hexsha[:12]} of {self._home} has no folder {root}: "
                "commit the package first, or name another revision."
            )
        return tree.binsha

    def _walk(self, tree: bytes, prefix: str) -> Iterator[tuple[str, int, bytes]]:
        for sha, mode, name in self._entries(tree):
            if S_ISDIR(mode) and mode != _SUBMODULE:
                yield from self._walk(sha, f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", mode, sha

    def _entries(self, tree: bytes) -> list[tuple[bytes, int, str]]:
        if tree not in _TREES:
            if len(_TREES) >= _TREES_LIMIT:
                _TREES.clear()
            _TREES[tree] = tree_entries_from_data(self._repo.odb.stream(tree).read())
        return _TREES[tree]

    def _content(self, path: str, sha: bytes) -> bytes:
        _rules.check_size(path, self._repo.odb.info(sha).size, self._limits)
        data: bytes = self._repo.odb.stream(sha).read()
        return _rules.checked(path, data)


class TreeSource:
    """The package in the folder ``package_dir``, as it is on disk now.

    What ``.gitignore`` ignores, byte-code and virtual environments do not belong to it. ``extra`` are the folders
    of other packages to freeze beside it.
    """

    def __init__(self, package_dir: Path, *, extra: tuple[Path, ...] = (), limits: Limits = LIMITS) -> None:
        self._roots = tuple(Path(root).absolute() for root in (package_dir, *extra))
        for root in self._roots:
            if not root.is_dir():
                raise SourceError(f"There is no folder {root}: name the folder of a package.")
        _rules.check_names((root.name, root) for root in self._roots)
        self.package = self._roots[0].name
        self._limits = limits
        self._seen: dict[str, os.stat_result] = {}

    @property
    def origin(self) -> Origin:
        """The commit checked out, dirty if any file of the packages differs from it; no commit outside git."""
        origins = [_checked_out(root) for root in self._roots]
        if len({origin.commit for origin in origins}) > 1:
            return Origin(dirty=True)
        return replace(origins[0], dirty=any(origin.dirty for origin in origins))

    def files(self) -> list[SourceFile]:
        """All files of the packages on disk."""
        self._seen = {}
        files = [file for root in self._roots for file in self._files(root)]
        _rules.check_paths((file.path for file in files), self._limits)
        _rules.check_total((found.st_size for found in self._seen.values()), self._limits)
        return files

    def check(self) -> None:
        """Raise ``SourceError`` if a file appeared, changed or went away since ``files`` was called."""
        before = self._seen
        self.files()
        moved = [path for path in before.keys() | self._seen.keys() if not _same(before, self._seen, path)]
        if moved:
            raise SourceError(
                f"{min(moved)} changed while it was being frozen: freeze again when nothing is being saved."
            )

    def _files(self, root: Path) -> Iterator[SourceFile]:
        prefix = root.name
        now = time.time_ns()
        entries = {path: found for path in _list(root) if (found := _lstat(root, path)) is not None}
        links = {path: _readlink(root, path) for path, found in entries.items() if S_ISLNK(found.st_mode)}
        for path in _rules.kept(entries, prefix, str(root)):
            target = _rules.follow(path, links, entries, f"{prefix}/{path}")
            found, full = entries[target], f"{root}/{target}"
            _rules.check_regular(f"{prefix}/{path}", found, self._limits)
            self._seen[f"{root}/{path}"] = found
            key = stat_key(full, found, now)
            yield SourceFile(
                f"{prefix}/{path}",
                _rules.frozen_mode(found.st_mode),
                key,
                partial(_read, full, f"{prefix}/{path}"),
            )


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


def _checked_out(root: Path) -> Origin:
    status = _git(root, "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    if status is None:
        return Origin(dirty=True)
    with open_repository(root) as repo:
        if not repo.head.is_valid():
            return Origin(dirty=True)
        commit = _committed(repo.head.commit)
    changed = any(_names.counts(name[3:].decode("utf-8", "replace")) for name in status.split(b"\0") if name)
    return replace(commit, dirty=changed)


def _list(root: Path) -> list[str]:
    """Paths below ``root`` that may belong to the package, posix and relative."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    if listed is None:
        return list(_walk(root))
    return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root, onerror=_cannot_list):
        folders[:] = [name for name in folders if name not in {".git", "__pycache__"}]
        here = Path(folder)
        linked = [name for name in folders if (here / name).is_symlink()]
        yield from ((here / name).relative_to(root).as_posix() for name in (*names, *linked))


def _cannot_list(problem: OSError) -> None:
    raise SourceError(f"{problem.filename} cannot be read ({problem.strerror}): make it readable or move it away.")


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints, or None when ``folder`` is not in a working tree."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["LC_ALL"] = "C"  # the reasons below are compared
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode == 0:
        return done.stdout
    reason = done.stderr.decode("utf-8", "replace").strip()
    if "not a git repository" in reason or "must be run in a work tree" in reason:
        return None
    raise SourceError(f"git cannot read {folder}: {reason.splitlines()[0] if reason else 'it gives no reason'}.")


def _lstat(root: Path, path: str) -> os.stat_result | None:
    """None for a file that git lists but that was deleted from the working tree."""
    try:
        return os.lstat(f"{root}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise _rules.unreadable(f"{root.name}/{path}", problem) from problem


def _readlink(root: Path, path: str) -> str:
    return os.readlink(f"{root}/{path}")  # noqa: PTH115 - a Path would normalise what must be shown as it is


def _read(full: str, path: str) -> bytes:
    try:
        with open(full, "rb", buffering=0) as stream:  # noqa: PTH123 - called for each file, a Path is slow
            return _rules.checked(path, stream.readall())
    except OSError as problem:
        raise _rules.unreadable(path, problem) from problem


def _same(before: Mapping[str, os.stat_result], after: Mapping[str, os.stat_result], path: str) -> bool:
    first, second = before.get(path), after.get(path)
    return first is not None and second is not None and _signature(first) == _signature(second)


def _signature(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _normal(path: str) -> str:
    normal = posixpath.normpath(path)
    if normal.startswith(("/", "..")):
        raise SourceError(f"The path {path} leaves the repository: give it relative to the repository's root.")
    return "" if normal == "." else normal
