"""The tar format, as far as archives use it: the one way to write a regular file of a given name, mode and size."""

from __future__ import annotations

BLOCK = 512
"""Bytes; headers and contents fill whole blocks."""

END = bytes(2 * BLOCK)
"""What follows the last member."""

_NAME, _PREFIX = 100, 155
_LONG_NAME = b"@LongName"


def header(name: str, mode: int, size: int) -> bytes:
    """The blocks in front of the content: a POSIX ustar header, after a pax header if the name does not fit one."""
    split = _split(name)
    if split is not None:
        return _block(*split, mode, size, b"0")
    record = _record(name)
    return (
        _block(_LONG_NAME, b"", 0o644, len(record), b"x")
        + record
        + padding(len(record))
        + _block(_LONG_NAME, b"", mode, size, b"0")
    )


def padding(size: int) -> bytes:
    """What fills the last block of a content of ``size`` bytes."""
    return bytes(-size % BLOCK)


def _split(name: str) -> tuple[bytes, bytes] | None:
    """Name and prefix as ustar has them, the prefix as short as possible; None where they do not fit, or not ASCII."""
    if not name.isascii():
        return None
    raw = name.encode("ascii")
    if len(raw) <= _NAME:
        return raw, b""
    cut = raw.find(b"/", len(raw) - _NAME - 1)
    return (raw[cut + 1 :], raw[:cut]) if 0 < cut <= _PREFIX else None


def _record(name: str) -> bytes:
    """``31 path=files/my_lab/...``: the number counts the bytes of the whole line, its own digits too."""
    rest = b" path=" + name.encode("utf-8") + b"\n"
    length = len(rest)
    while length != (whole := len(rest) + len(str(length))):
        length = whole
    return str(length).encode("ascii") + rest


def _block(name: bytes, prefix: bytes, mode: int, size: int, kind: bytes) -> bytes:
    fields = (
        name.ljust(_NAME, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0,  # user
        b"%07o\0" % 0,  # group
        b"%011o\0" % size,
        b"%011o\0" % 0,  # time of change
        b" " * 8,  # where the checksum goes, as it counts itself
        kind,
        bytes(100),  # target of a link
        b"ustar\x0000",
        bytes(80),  # names of user and group, numbers of a device
        prefix.ljust(_PREFIX, b"\0"),
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block.replace(b" " * 8, b"%06o\0 " % sum(block), 1)
