"""Content digests: blake3, in hexadecimal, of bytes, files, plain data and trees; and a memory of known ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from blake3 import blake3

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

RACY_WINDOW_NS = 2_000_000_000
"""A file changed this recently could change again within one tick of a coarse file-system clock (FAT: 2 s)."""

_CHUNK = 1 << 20


def hash_bytes(data: bytes) -> str:
    """Digest of ``data``: 64 hexadecimal characters."""
    return blake3(data).hexdigest()


def hash_file(path: Path) -> str:
    """Digest of the content of ``path``; raises ``OSError`` if it cannot be read."""
    hasher = blake3()
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def canonical_json(value: Json) -> bytes:
    """The one spelling of plain data that digests are taken of: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def hash_json(value: Json) -> str:
    """Digest of plain data; equal data have equal digests whatever the order of their keys."""
    return hash_bytes(canonical_json(value))


def hash_tree(files: Iterable[tuple[str, str]]) -> str:
    """Digest of ``(path, content digest)`` pairs, whatever their order; paths are relative and posix."""
    return hash_json([[path, digest] for path, digest in sorted(files)])


def stat_key(path: str, stat: os.stat_result, now_ns: int) -> str | None:
    """A name for the content that ``path`` has while its ``stat`` stays as it is.

    None when the file is *racily clean* (git's word): it changed so close to ``now_ns``, the time of the stat
    call, that a further change of the same size might leave no trace in the time stamps.
    """
    if max(stat.st_mtime_ns, stat.st_ctime_ns) > now_ns - RACY_WINDOW_NS:
        return None
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}:{stat.st_dev}:{path}"


class Memory:
    """A bounded dictionary of plain data that can be kept in a file; losing it costs time, never correctness.

    The file is a journal, one JSON object a line, so that remembering a little writes a little; a line that a
    crash cut short is skipped. When there are more than ``limit`` entries the oldest half is forgotten.
    """

    def __init__(self, path: Path | None = None, limit: int = 400_000) -> None:
        self._path = path
        self._limit = limit
        self._unsaved: dict[str, Json] = {}
        self._stale = False

    @cached_property
    def _entries(self) -> dict[str, Json]:
        return _read_journal(self._path) if self._path else {}

    @property
    def unsaved(self) -> int:
        """How many entries the file does not have yet."""
        return len(self._unsaved)

    def get(self, key: str) -> Json:
        """What was put under ``key``, or None."""
        return self._entries.get(key)

    def update(self, entries: Mapping[str, Json]) -> None:
        """Remember ``entries``, whose values must not be None."""
        self._entries.update(entries)
        self._unsaved.update(entries)
        if len(self._entries) > self._limit:
            self._replace(dict(list(self._entries.items())[-self._limit // 2 :]))

    def clear(self) -> None:
        """Forget everything."""
        self._replace({})

    def save(self) -> None:
        """Write what the file does not have yet; its folder must exist."""
        if self._path is None or not (self._unsaved or self._stale):
            return
        new = self._entries if self._stale else self._unsaved
        with self._path.open("wb" if self._stale else "ab") as journal:
            journal.write(b"\n" + json.dumps(new, separators=(",", ":")).encode("ascii"))
        self._unsaved, self._stale = {}, False

    def _replace(self, entries: dict[str, Json]) -> None:
        self._entries = entries
        self._stale = True


def _read_journal(path: Path) -> dict[str, Json]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return {}
    entries: dict[str, Json] = {}
    for line in lines:
        entries.update(_read_line(line))
    return entries


def _read_line(line: bytes) -> dict[str, Json]:
    try:
        read = json.loads(line)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
