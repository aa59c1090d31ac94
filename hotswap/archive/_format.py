"""What an archive holds: the manifest first, then each file, in the order of the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from hotswap._fields import Fields
from hotswap._names import import_objection
from hotswap.digest import canonical_json, hash_json
from hotswap.errors import ManifestError
from hotswap.limits import Limits
from hotswap.snapshot import FileEntry, Snapshot

FORMAT = 1
MANIFEST = "manifest.json"
FILES = "files/"

MANIFEST_LIMIT = 32 * 1024 * 1024
"""Bytes; 100,000 files need about 15 million."""


class Flaw(Exception):  # noqa: N818 - it never leaves the package
    """What an archive is refused for: a clause for the sentence that says so."""


class Member(NamedTuple):
    """One file in an archive."""

    name: str
    mode: int
    size: int


def manifest_member(size: int) -> Member:
    """The first member."""
    return Member(MANIFEST, 0o644, size)


def member(entry: FileEntry) -> Member:
    """Where the content of a frozen file is."""
    return Member(FILES + entry.path, entry.mode, entry.size)


def manifest_of(snapshot: Snapshot) -> bytes:
    """The content of the first member."""
    told = snapshot.to_dict()
    return canonical_json({"archive_format": FORMAT, "digest": hash_json(told), "snapshot": told})


def read_manifest(data: bytes, limits: Limits) -> Snapshot:
    """The snapshot; raises ``Flaw`` unless ``data`` is what ``manifest_of`` gives of it."""
    try:
        fields = Fields(_json(data), MANIFEST)
        fields.known("archive_format", FORMAT, "the archive")
        told = fields.value("snapshot")
        if fields.digest("digest") != _digest(told):
            raise Flaw(f"{MANIFEST} was changed: its digest is another")
        snapshot = Snapshot.from_dict(told)
    except ManifestError as problem:
        raise Flaw(problem.reason) from problem
    if not snapshot.is_consistent():
        raise Flaw(f"the id {snapshot.id} does not follow from the rest of {MANIFEST}")
    if manifest_of(snapshot) != data:
        raise Flaw(f"{MANIFEST} is not written the one way that manifests are written")
    for flaw in _bad_roots(snapshot):
        raise Flaw(flaw)
    for excess in _excesses(snapshot, limits):
        raise Flaw(excess)
    return snapshot


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise Flaw(f"{MANIFEST} is not JSON") from problem


def _digest(told: object) -> str | None:
    """None for what has numbers that JSON does not have."""
    try:
        return hash_json(told)  # type: ignore[arg-type]  # it was read from JSON
    except (ValueError, RecursionError):
        return None


def _bad_roots(snapshot: Snapshot) -> Iterator[str]:
    """What no source would give: packages that cannot be imported, or none."""
    for top in sorted({entry.path.partition("/")[0] for entry in snapshot.files}):
        if not top.endswith(".dist-info") and (reason := import_objection(top.partition(".")[0])):
            yield f"it has a package or module {top!r}, but {reason}"
    if not any(entry.path.startswith(f"{snapshot.package}/") for entry in snapshot.files):
        yield f"it has no file of its package {snapshot.package!r}"


def _excesses(snapshot: Snapshot, limits: Limits) -> Iterator[str]:
    """What is more than ``limits`` allow."""
    if len(snapshot.files) > limits.files:
        yield f"{MANIFEST} lists {len(snapshot.files)} files, more than the {limits.files} allowed"
    for entry in snapshot.files:
        if entry.size > limits.file_size:
            yield f"{entry.path!r} has {entry.size} bytes, more than the {limits.file_size} allowed for one file"
        if entry.path.count("/") >= limits.depth:
            yield f"{entry.path!r} is more than the {limits.depth} levels deep that are allowed"
        if len(entry.path.encode()) > limits.path_length:
            yield f"{entry.path!r} is longer than the {limits.path_length} bytes that are allowed for a path"
    if snapshot.size > limits.total_size:
        yield f"its files have {snapshot.size} bytes together, more than the {limits.total_size} allowed"
