"""The lab package as it is in the repository or on disk, frozen into the lab's store with its local packages."""

from __future__ import annotations

from pathlib import Path

import git

from hotswap.errors import SourceError
from hotswap.snapshot import Snapshot
from hotswap.source import GitSource, TreeSource, open_repository
from hotswap.store import Store
from lab.config import LabConfig


class LabCode:
    """Freezes commits, or the working tree where ``trigger = "save"`` or no repository exists."""

    def __init__(self, config: LabConfig, store: Store) -> None:
        self._package = config.general.package
        self._saves = config.general.trigger == "save"
        self._branch = config.general.branch
        self._code = config.code
        self._store = store

    def freeze(self, rev: str | None) -> Snapshot:
        """Freeze ``rev``; without one the tip of the watched branch, or the saved files. Raises SourceError."""
        if rev is None and self._saves:
            return self._freeze_saved()
        repo = self.repository()
        if repo is None:
            if rev is not None:
                raise SourceError(
                    f"{self._package} is not in a git repository, so there is no {rev!r}; run `git init`."
                )
            return self._freeze_saved()
        with repo, self._committed(repo, rev or self._branch or "HEAD") as source:
            return self._store.freeze(source)

    def repository(self) -> git.Repo | None:
        """The repository that the lab package is in, for the caller to close; None when it is in none."""
        try:
            return open_repository(self._package)
        except SourceError:
            return None

    def _freeze_saved(self) -> Snapshot:
        return self._store.freeze(TreeSource(self._package, extra=self._code.extra, local=self._code.local))

    def _committed(self, repo: git.Repo, rev: str) -> GitSource:
        top = Path(str(repo.working_tree_dir)).resolve()
        for path in self._code.extra:
            if not path.is_relative_to(top):
                raise SourceError(
                    f"{path}, which code.extra names, is not in the repository {top}: move it there, or install it."
                )
        package, *extra = (path.relative_to(top).as_posix() for path in (self._package, *self._code.extra))
        return GitSource(repo, package, rev, extra=tuple(extra), local=self._code.local)
