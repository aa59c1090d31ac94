"""Git repositories, and where a commit of theirs comes from."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

from hotswap._gitpython import git
from hotswap.errors import SourceError
from hotswap.snapshot import Origin


def open_repository(path: Path) -> git.Repo:
    """The git repository that ``path`` is in; the caller closes it. Raises ``SourceError`` outside of any."""
    if shutil.which("git") is None:
        raise SourceError("There is no git program on the PATH: install git, or freeze the working tree instead.")
    try:
        return git.Repo(path, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as problem:
        raise SourceError(
            f"{path} is not in a git repository: freeze the working tree instead, or run `git init` there."
        ) from problem


def repository_around(path: Path) -> Path | None:
    """The top folder of the working tree that ``path`` is in; None outside of any, or without a git program."""
    try:
        repo = open_repository(path)
    except SourceError:
        return None
    with repo:
        return Path(repo.working_tree_dir).resolve() if repo.working_tree_dir else None


def committed(commit: git.Commit) -> Origin:
    return Origin(
        commit=commit.hexsha,
        dirty=False,
        author=f"{commit.author.name} <{commit.author.email}>",
        committed_at=commit.committed_datetime,
        message=str(commit.message).strip(),
    )


@lru_cache(maxsize=64)
def origin_of(folder: Path, name: str) -> Origin:
    with open_repository(folder) as repo:
        return committed(repo.commit(name))
