"""The files of a code version that the lab's store has, as something to freeze with what is installed now."""

from __future__ import annotations

from functools import partial

from hotswap.snapshot import Origin, Snapshot
from hotswap.source import SourceFile
from hotswap.store import Store


class AgainSource:
    """What ``snapshot`` holds, with its origin; see ``hotswap.source.Source``."""

    def __init__(self, store: Store, snapshot: Snapshot) -> None:
        self._store = store
        self._snapshot = snapshot

    @property
    def package(self) -> str:
        return self._snapshot.package

    @property
    def origin(self) -> Origin:
        return self._snapshot.origin

    def files(self) -> list[SourceFile]:
        content = self._store.content
        return [SourceFile(one.path, one.mode, None, partial(content, one)) for one in self._snapshot.files]

    def check(self) -> None:
        """Snapshots do not move."""
