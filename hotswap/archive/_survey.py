"""Reading an archive from end to end: all but the contents, which are only passed over."""

from __future__ import annotations

import os
from typing import BinaryIO

from hotswap.archive import _blame
from hotswap.archive._blame import Place
from hotswap.archive._format import MANIFEST, MANIFEST_LIMIT, Flaw, Member, manifest_member, member, read_manifest
from hotswap.archive._tar import BLOCK, END, header, padding
from hotswap.limits import Limits
from hotswap.snapshot import Snapshot

_SIZE = slice(124, 135)
_OCTAL = frozenset(b"01234567")


def survey(stream: BinaryIO, limits: Limits) -> tuple[Snapshot, dict[str, int]]:
    """What the archive holds, and at which byte the content of each path begins; raises ``Flaw``."""
    snapshot = _manifest(stream, limits)
    members = {found.name: found for found in map(member, snapshot.files)}
    places = {}
    for entry, wanted in zip(snapshot.files, members.values(), strict=True):
        _expect(stream, header(*wanted), Place(members, wanted))
        places[entry.path] = stream.tell()
        _pass_over(stream, wanted)
    _expect(stream, END, Place(members, None))
    if stream.read(1):
        raise Flaw("there is something after its end")
    return snapshot, places


def _manifest(stream: BinaryIO, limits: Limits) -> Snapshot:
    block = stream.read(BLOCK)
    told = block[_SIZE]
    size = int(told, 8) if told and _OCTAL.issuperset(told) else 0
    wanted = manifest_member(size)
    if block != header(*wanted):
        raise Flaw(_blame.no_archive(block))
    if size > MANIFEST_LIMIT:
        raise Flaw(f"{MANIFEST} has {size} bytes, more than the {MANIFEST_LIMIT} allowed")
    start = stream.tell()
    _pass_over(stream, wanted)
    after = stream.tell()
    stream.seek(start)
    data = stream.read(size)
    stream.seek(after)
    return read_manifest(data, limits)


def _expect(stream: BinaryIO, wanted: bytes, at: Place) -> None:
    found = stream.read(len(wanted))
    if found != wanted:
        cut = wanted.startswith(found)
        raise Flaw(f"it is cut short before {at}" if cut else _blame.wrong_blocks(found, at))


def _pass_over(stream: BinaryIO, present: Member) -> None:
    """Go on to the next header, if all of the content is there."""
    rest = padding(present.size)
    if stream.tell() + present.size + len(rest) > os.fstat(stream.fileno()).st_size:
        raise Flaw(f"it is cut short in {present.name!r}")
    stream.seek(present.size, os.SEEK_CUR)
    if stream.read(len(rest)) != rest:
        raise Flaw(f"there is something after the content of {present.name!r}")
