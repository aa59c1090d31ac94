"""Out of a store into an archive, and back."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hotswap import _disk
from hotswap.archive._format import MANIFEST_LIMIT, manifest_member, manifest_of, member
from hotswap.archive._source import ArchiveSource
from hotswap.archive._tar import END, header, padding
from hotswap.errors import ArchiveError
from hotswap.limits import LIMITS, Limits
from hotswap.snapshot import Snapshot
from hotswap.store import Frozen, Store


def export(store: Store, name: str, path: Path, progress: Callable[[int, int], None] | None = None) -> Snapshot:
    """Write the snapshot with the id or unambiguous prefix ``name`` into an archive at ``path``.

    The same snapshot gives the same bytes on any machine. A file at ``path`` is replaced once the archive is complete
    and on disk. ``progress`` is called with the number of files written and of all. Raises ``ArchiveError`` if the
    archive cannot be written, otherwise as ``Store.open``.
    """
    with store.use(name) as snapshot:
        manifest = manifest_of(snapshot)
        if len(manifest) > MANIFEST_LIMIT:
            raise ArchiveError(
                f"Snapshot {snapshot.short_id} cannot be exported, because its manifest has {len(manifest)} bytes, "
                f"more than the {MANIFEST_LIMIT} allowed: freeze fewer files."
            )
        with _replacing(Path(path)) as stream:
            stream.write(_filled(header(*manifest_member(len(manifest))), manifest))
            for count, entry in enumerate(snapshot.files, start=1):
                stream.write(_filled(header(*member(entry)), store.content(entry)))
                if progress is not None:
                    progress(count, len(snapshot.files))
            stream.write(END)
        return snapshot


def load(
    store: Store,
    path: Path,
    *,
    hold: str | None = None,
    limits: Limits = LIMITS,
    progress: Callable[[int, int], None] | None = None,
) -> Frozen:
    """Freeze what the archive at ``path`` holds, with its id, origin and environment; byte-code is compiled anew.

    As with ``Store.ensure``: all of it or nothing, and ``hold`` is placed before the snapshot is visible. Raises
    ``ArchiveError`` if the archive is not what ``export`` writes, or exceeds ``limits``.
    """
    source = ArchiveSource(path, limits=limits)
    return store.ensure(source, source.environment, hold=hold, frozen_at=source.frozen_at, progress=progress)


def _filled(head: bytes, content: bytes) -> bytes:
    return b"".join((head, content, padding(len(content))))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when all is well, and leaves nothing behind otherwise."""
    unfinished = path.parent / f".{secrets.token_hex(8)}.new"
    try:
        with unfinished.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
        _disk.fsync(str(path.parent))
    except OSError as problem:
        raise ArchiveError(
            f"The archive {path} cannot be written ({problem.strerror}): choose another place."
        ) from problem
    finally:
        with suppress(OSError):  # it was renamed, or never made
            unfinished.unlink()
