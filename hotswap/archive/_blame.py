"""Why the blocks of an archive are not those that should stand there: in words, with the name of the member."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from itertools import takewhile
from typing import NamedTuple

from hotswap import _names
from hotswap.archive._format import FILES, MANIFEST, Member
from hotswap.archive._tar import BLOCK

_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_EXTENSIONS = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, *tarfile.GNU_TYPES} - _KINDS.keys()
_PACKERS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


def no_archive(start: bytes) -> str:
    """Of a file that starts otherwise than archives do."""
    for magic, packer in _PACKERS.items():
        if start.startswith(magic):
            return f"it is compressed with {packer} and has to be unpacked first"
    if not start:
        return "it is empty"
    return "it does not start with a manifest.json as hotswap writes it"


class Place(NamedTuple):
    """Where reading is: in front of ``wanted``, one of the ``members`` (by name, in order), or of the end."""

    members: Mapping[str, Member]
    wanted: Member | None

    def __str__(self) -> str:
        return repr(self.wanted.name) if self.wanted else "its end"

    def passed(self) -> set[str]:
        """The names of all that were read."""
        names = takewhile(lambda name: self.wanted is None or name != self.wanted.name, self.members)
        return {MANIFEST, *names}


def wrong_blocks(found: bytes, at: Place) -> str:
    """Of ``found``, which is neither the header of the member wanted nor, if none is, the end."""
    if not any(found[:BLOCK]):
        return f"the member {at} is missing" if at.wanted else f"it does not stop at {at}"
    try:
        header = tarfile.TarInfo.frombuf(found[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return f"what stands before {at} is not the header of a member"
    return _told(header, at)


def _told(header: tarfile.TarInfo, at: Place) -> str:
    if header.type in _EXTENSIONS:
        return f"an extended header stands before {at} and is not what belongs there"
    name = f"the member {header.name!r}"
    if kind := _KINDS.get(header.type):
        return f"{name} is {kind}"
    if header.type != tarfile.REGTYPE:
        return f"{name} is no regular file"
    return f"{name} {_fault(header, at)}"


def _fault(header: tarfile.TarInfo, at: Place) -> str:
    """Of a regular file."""
    if header.name in at.passed():
        return "is there twice"
    if header.name not in at.members:
        return _stray(header.name, {MANIFEST, *at.members})
    if at.wanted is None or header.name != at.wanted.name:
        return f"does not belong before {at}"
    if header.size != at.wanted.size:
        return f"has {header.size} bytes instead of {at.wanted.size}"
    if header.mode != at.wanted.mode:
        return f"has the mode {header.mode:o} instead of {at.wanted.mode:o}"
    return "has a header that tells more than name, mode and size"


def _stray(name: str, known: set[str]) -> str:
    """Of a name that the manifest does not list."""
    path = name.removeprefix(FILES)
    if name.startswith("/"):
        return "has an absolute name"
    if reason := _names.objection(path):
        return f"has a name that is not allowed ({reason})"
    if _names.clash([name, *known]) is not None:
        return "differs only in case or Unicode normalisation from another, or is both file and folder"
    return "is not in the manifest"
