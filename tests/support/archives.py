"""Archives taken apart and put together again, wrong ones too."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", **attributes: Any) -> Member:
    """A regular file unless ``attributes`` of its header say otherwise."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, data


def take_apart(archive: Path | bytes) -> list[Member]:
    """All members, of which each must be a regular file."""
    data = archive if isinstance(archive, bytes) else archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
        return [(one, opened.extractfile(one).read()) for one in opened]  # type: ignore[union-attr]


def put_together(members: list[Member]) -> bytes:
    """As ``export`` would write them, if they were what they should be."""
    blocks = [info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512) for info, data in members]
    return b"".join(blocks) + bytes(1024)
