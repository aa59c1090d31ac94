"""The lab package as it is in the repository or on disk, frozen into the lab's store with its local packages."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from hotswap.errors import MovedError, SourceError
from hotswap.snapshot import Snapshot
from hotswap.source import GitSource, StoredSource, TreeSource, fetch, repository_around
from hotswap.store import Store
from lab.settings.config import LabConfig

VERSION: Final = "version:"
"""Begins the revision that means the files of a code version in the store."""

_TRIES: Final = 10


class LabCode:
    """Freezes commits, or the working tree where ``trigger = "save"`` or no repository exists."""

    def __init__(self, config: LabConfig, store: Store) -> None:
        self._package = config.general.package
        self._saves = config.general.trigger == "save"
        self._branch = config.general.branch
        self._code = config.code
        self._store = store
        self._rest = config.refresh.debounce_ms / 1000
        self._places = (self._package, *self._code.extra)

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders and single files that the saved code was last frozen from."""
        return self._places

    def freeze(self, rev: str | None) -> Snapshot:
        """Freeze ``rev``; without one the tip of the watched branch, fetched if it is a remote's, or the saved files.

        ``version:ID`` means the files of a code version, with what is installed now. Raises SourceError or StoreError.
        """
        if rev is not None and rev.startswith(VERSION):
            found = self._store.open(rev.removeprefix(VERSION))
            return self._store.freeze(StoredSource(found, self._store.content))
        if rev is None and self._saves:
            return self._freeze_saved()
        top = self.repository()
        if top is None:
            if rev is not None:
                raise SourceError(
                    f"{self._package} is not in a git repository, so there is no {rev!r}; run `git init`."
                )
            return self._freeze_saved()
        with self._committed(top, rev or self._tip(top)) as source:
            return self._store.freeze(source)

    def repository(self) -> Path | None:
        """The top folder of the repository that the lab package is in; None when it is in none."""
        # The folder is looked at only where it is: what a person did to it says nothing about the commits.
        return repository_around(self._package if self._package.is_dir() else self._package.parent)

    def _tip(self, top: Path) -> str:
        if self._code.remote is not None and self._branch is not None:
            return fetch(top, self._code.remote, self._branch)
        return self._branch or "HEAD"

    def _freeze_saved(self) -> Snapshot:
        """The saved files as they are when nobody saves; the last try tells which did not rest."""
        for _ in range(_TRIES - 1):
            with suppress(MovedError):
                return self._freeze_once()
            time.sleep(self._rest)
        return self._freeze_once()

    def _freeze_once(self) -> Snapshot:
        source = TreeSource(self._package, extra=self._code.extra, local=self._code.local)
        try:
            return self._store.freeze(source)
        finally:
            self._places = source.places

    def _committed(self, top: Path, rev: str) -> GitSource:
        for path in self._code.extra:
            if not path.is_relative_to(top):
                raise SourceError(
                    f"{path}, which code.extra names, is not in the repository {top}: move it there, or install it."
                )
        package, *extra = (path.relative_to(top).as_posix() for path in (self._package, *self._code.extra))
        return GitSource(top, package, rev, extra=tuple(extra), local=self._code.local)
