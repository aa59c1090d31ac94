"""What a snapshot is: the manifest of a frozen tree, and the id that follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hotswap.digest import Json, hash_json
from hotswap.environment import Environment
from hotswap.errors import StoreError

FORMAT = 1
SHORT = 12


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
    def from_dict(cls, data: Mapping[str, Any]) -> Origin:
        """The opposite of ``to_dict``."""
        moment = data["committed_at"]
        return cls(
            commit=data["commit"],
            dirty=data["dirty"],
            author=data["author"],
            committed_at=datetime.fromisoformat(moment) if moment else None,
            message=data["message"],
        )


class FileEntry(NamedTuple):
    """One frozen file: posix path below the snapshot root, mode 0o644 or 0o755, size in bytes, blake3 of content.

    A plain tuple, because trees have tens of thousands of them; in JSON it is a list.
    """

    path: str
    mode: int
    size: int
    digest: str


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
    def of(cls, package: str, files: Iterable[FileEntry], environment: Environment, origin: Origin) -> Snapshot:
        """The snapshot of this content, frozen now."""
        entries = tuple(sorted(files))
        source = source_digest(package, entries)
        return cls(
            id=snapshot_id(source, environment),
            package=package,
            files=entries,
            source_digest=source,
            environment=environment,
            origin=origin,
            frozen_at=datetime.now(UTC),
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
    def from_dict(cls, data: Mapping[str, Any]) -> Snapshot:
        """The opposite of ``to_dict``; raises ``StoreError`` for a format this version does not know."""
        if data.get("format") != FORMAT:
            raise StoreError(
                f"A snapshot has format {data.get('format')!r}, but this version of hotswap reads format {FORMAT}: "
                "upgrade hotswap or freeze the code again."
            )
        return cls(
            id=data["id"],
            package=data["package"],
            files=tuple(FileEntry(*entry) for entry in data["files"]),
            source_digest=data["source_digest"],
            environment=Environment.from_dict(data["environment"]),
            origin=Origin.from_dict(data["origin"]),
            frozen_at=datetime.fromisoformat(data["frozen_at"]),
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
