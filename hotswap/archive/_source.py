"""An archive as a source: nothing in it is believed before it is checked."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from stat import S_ISREG

from hotswap.archive._format import MANIFEST, Flaw, member
from hotswap.archive._survey import survey
from hotswap.digest import hash_bytes
from hotswap.environment import Environment
from hotswap.errors import ArchiveError
from hotswap.limits import LIMITS, Limits
from hotswap.snapshot import FileEntry, Origin, Snapshot
from hotswap.source import SourceFile


class ArchiveSource:
    """The snapshot in the archive at ``path``, to be frozen into a store or to mend one with.

    Making one reads the manifest and all headers; every content is checked when it is read. Raises ``ArchiveError``
    unless the archive is, to the last byte, what ``export`` writes of its snapshot, or if that exceeds ``limits``.
    """

    def __init__(self, path: Path, *, limits: Limits = LIMITS) -> None:
        self._path = Path(path)
        self._limits = limits
        self.snapshot, self._places = self._survey()
        self._entries = {entry.digest: entry for entry in self.snapshot.files}

    @property
    def package(self) -> str:
        """The name it is imported under."""
        return self.snapshot.package

    @property
    def origin(self) -> Origin:
        """What was recorded when it was frozen first."""
        return self.snapshot.origin

    @property
    def environment(self) -> Environment:
        """What it was frozen with."""
        return self.snapshot.environment

    @property
    def frozen_at(self) -> datetime:
        """When it was frozen first."""
        return self.snapshot.frozen_at

    def files(self) -> list[SourceFile]:
        """All files; they are read and checked one by one, also those that the store knows."""
        return [SourceFile(one.path, one.mode, None, partial(self._read, one)) for one in self.snapshot.files]

    def check(self) -> None:
        """Every content was checked against the manifest when it was read."""

    def content(self, digest: str) -> bytes | None:
        """The content with this digest; None if the archive has none, or a damaged one."""
        entry = self._entries.get(digest)
        try:
            return self._read(entry) if entry else None
        except ArchiveError:
            return None

    def _survey(self) -> tuple[Snapshot, dict[str, int]]:
        try:
            if not S_ISREG(self._path.stat().st_mode):  # a pipe would be waited for, a device could be endless
                raise self._refusal("it is not a regular file")
            with self._path.open("rb") as stream:
                return survey(stream, self._limits)
        except OSError as problem:
            raise self._unreadable(problem) from problem
        except Flaw as flaw:
            raise self._refusal(str(flaw)) from flaw

    def _read(self, entry: FileEntry) -> bytes:
        """The content of one file."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._places[entry.path])
                data = stream.read(entry.size)
        except OSError as problem:
            raise self._unreadable(problem) from problem
        if hash_bytes(data) != entry.digest:
            raise self._refusal(f"the content of {member(entry).name!r} is not what {MANIFEST} says")
        return data

    def _refusal(self, reason: str) -> ArchiveError:
        return ArchiveError(f"The archive {self._path} is refused, because {reason}: use another copy of it.")

    def _unreadable(self, problem: OSError) -> ArchiveError:
        return ArchiveError(
            f"The archive {self._path} cannot be read ({problem.strerror}): name a file that exists and can be read."
        )
