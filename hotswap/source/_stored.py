"""A snapshot whose content is kept somewhere, as something to freeze."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hotswap.snapshot import FileEntry, Origin, Snapshot
from hotswap.source._source import SourceFile


class StoredSource:
    """What ``snapshot`` holds, with its origin; ``read`` gives the content of a file, checked."""

    def __init__(self, snapshot: Snapshot, read: Callable[[FileEntry], bytes]) -> None:
        self._snapshot = snapshot
        self._read = read

    @property
    def package(self) -> str:
        """The name it is imported under."""
        return self._snapshot.package

    @property
    def origin(self) -> Origin:
        """What was recorded when it was frozen first."""
        return self._snapshot.origin

    def files(self) -> list[SourceFile]:
        """All files; they are read one by one, also those that the store knows."""
        return [SourceFile(one.path, one.mode, None, partial(self._read, one)) for one in self._snapshot.files]

    def check(self) -> None:
        """Snapshots do not move."""
