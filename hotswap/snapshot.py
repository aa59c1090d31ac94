"""What a snapshot is: the manifest of a frozen tree, and the id that follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from hotswap import _fields, _names
from hotswap._fields import Fields
from hotswap.digest import Json, hash_json
from hotswap.environment import Distribution, Environment
from hotswap.errors import ManifestError

FORMAT = 1
SHORT = 12

MODES = (0o644, 0o755)
"""The modes that frozen files have."""

LARGEST_FILE = 8**11 - 1
"""Bytes; as much as the header of a tar archive can tell."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the content of a snapshot came from: told beside the id, never part of it."""

    commit: str | None = None
    dirty: bool = True
    author: str | None = None
    committed_at: datetime | None = None
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data; times in ISO 8601."""
        moment = self.committed_at.isoformat() if self.committed_at else None
        return {**asdict(self), "committed_at": moment}

    @classmethod
    def from_dict(cls, data: object) -> Origin:
        """The opposite of ``to_dict``; raises ``ManifestError``."""
        fields = Fields(data, "the origin")
        return cls(
            commit=fields.text_or_none("commit"),
            dirty=fields.flag("dirty"),
            author=fields.text_or_none("author"),
            committed_at=fields.moment_or_none("committed_at"),
            message=fields.text_or_none("message"),
        )


class FileEntry(NamedTuple):
    """One frozen file: posix path below the snapshot root, mode 0o644 or 0o755, size in bytes, blake3 of content.

    A plain tuple, because trees have tens of thousands of them; in JSON it is a list.
    """

    path: str
    mode: int
    size: int
    digest: str

    @classmethod
    def from_list(cls, data: object) -> FileEntry:
        """The opposite of ``list``, whatever the name of the file; raises ``ManifestError``."""
        if not isinstance(data, list) or len(data) != 4:
            raise _fields.wrong("the entry of a file", data, "path, mode, size and digest")
        path, mode, size, digest = data
        if not _fields.is_text(path):
            raise _fields.wrong("the path of a file", path, "text")
        if not _fields.is_number(mode) or mode not in MODES:
            raise _fields.wrong(f"the mode of {path!r}", mode, "420 (644) or 493 (755)")
        if not _fields.is_number(size) or not 0 <= size <= LARGEST_FILE:
            raise _fields.wrong(f"the size of {path!r}", size, f"a number of bytes up to {LARGEST_FILE}")
        if not _fields.is_digest(digest):
            raise _fields.wrong(f"the digest of {path!r}", digest, "64 hexadecimal digits")
        return cls(path, mode, size, digest)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable, content-addressed frozen copy of a package; equal ids mean equal content and environment."""

    id: str
    package: str
    files: tuple[FileEntry, ...]
    source_digest: str
    environment: Environment
    origin: Origin
    frozen_at: datetime
    format: int = FORMAT

    @classmethod
    def of(
        cls,
        package: str,
        files: Iterable[FileEntry],
        environment: Environment,
        origin: Origin,
        frozen_at: datetime | None = None,
    ) -> Snapshot:
        """The snapshot of this content, frozen now unless told otherwise."""
        entries = tuple(sorted(files))
        source = source_digest(package, entries)
        return cls(
            id=snapshot_id(source, environment),
            package=package,
            files=entries,
            source_digest=source,
            environment=environment,
            origin=origin,
            frozen_at=frozen_at or datetime.now(UTC),
        )

    @property
    def short_id(self) -> str:
        """The first 12 characters of the id: what people are shown."""
        return self.id[:SHORT]

    @property
    def python(self) -> str:
        """The Python the snapshot was frozen for, such as ``cp311``."""
        return self.environment.python

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files)

    def file(self, path: str) -> FileEntry | None:
        """The entry at ``path``, or None."""
        return next((entry for entry in self.files if entry.path == path), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON or BSON; each file is a list ``[path, mode, size, digest]``."""
        return {
            "format": self.format,
            "id": self.id,
            "package": self.package,
            "files": [list(entry) for entry in self.files],
            "source_digest": self.source_digest,
            "environment": self.environment.to_dict(),
            "origin": self.origin.to_dict(),
            "frozen_at": self.frozen_at.isoformat(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Snapshot:
        """The opposite of ``to_dict``, of data that may come from anywhere.

        Raises ``ManifestError`` for a format that this version does not know, for a field that is missing or not
        what it should be, and for paths that not every system can keep. Whether the id follows from the rest is
        told by ``is_consistent``.
        """
        fields = Fields(data, "the manifest")
        fields.known("format", FORMAT, "the manifest")
        return cls(
            id=fields.digest("id"),
            package=_package(fields.text("package")),
            files=_files(fields.items("files")),
            source_digest=fields.digest("source_digest"),
            environment=_environment(fields.value("environment")),
            origin=Origin.from_dict(fields.value("origin")),
            frozen_at=fields.moment("frozen_at"),
        )

    def is_consistent(self) -> bool:
        """Whether the id follows from the content that the manifest lists."""
        source = source_digest(self.package, self.files)
        return source == self.source_digest and snapshot_id(source, self.environment) == self.id


def source_digest(package: str, files: tuple[FileEntry, ...]) -> str:
    """Digest of the frozen files alone: equal when only the environment differs; ``files`` must be sorted."""
    listing: list[Json] = [list(entry) for entry in files]
    return hash_json({"package": package, "files": listing})


def snapshot_id(source: str, environment: Environment) -> str:
    """The id: it knows content, environment and Python; not time, author or commit."""
    return hash_json(
        {
            "format": FORMAT,
            "source": source,
            "environment": environment.digest,
            "python": environment.python,
        }
    )


def _package(name: str) -> str:
    if not name.isidentifier():
        raise _fields.wrong("the package", name, "a name that can be imported")
    return name


def _files(items: list[Any]) -> tuple[FileEntry, ...]:
    """Sorted, each with a name of its own that leads nowhere else."""
    files = tuple(FileEntry.from_list(item) for item in items)
    if found := _names.rejected([file.path for file in files]):
        path, reason = found
        raise ManifestError(f"the path {path!r} is not allowed ({reason})")
    if problem := _names.clash(file.path for file in files):
        raise ManifestError(problem)
    for before, after in pairwise(files):
        if before.path > after.path:
            raise ManifestError(f"the files are not sorted: {after.path!r} comes after {before.path!r}")
    return files


def _environment(data: object) -> Environment:
    fields = Fields(data, "the environment")
    return Environment(fields.text("python"), tuple(_distribution(item) for item in fields.items("distributions")))


def _distribution(data: object) -> Distribution:
    if not isinstance(data, list) or len(data) != 3:
        raise _fields.wrong("an entry of the environment", data, "name, version and digest")
    name, version, digest = data
    if not (_fields.is_text(name) and _fields.is_text(version) and (digest is None or _fields.is_text(digest))):
        raise _fields.wrong("an entry of the environment", name, "name, version and digest as text")
    return Distribution(name, version, digest)
