"""The objects of a store: each distinct content once, read-only, under its digest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from hotswap import _disk
from hotswap.digest import hash_bytes, hash_file
from hotswap.errors import DamagedError
from hotswap.store._refusals import unreadable

_MODE = 0o444
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")
_FOLDER = re.compile(r"[0-9a-f]{2}")


class Objects:
    """Content-addressed files; new ones are *staged* first and become visible together with ``publish``."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder = str(folder)
        self._staging = str(staging)
        self._staged: set[str] = set()

    @property
    def staged(self) -> tuple[str, ...]:
        """What ``publish`` would add, each time in the same order: so a crash can be repeated."""
        return tuple(sorted(self._staged))

    def path(self, digest: str) -> str:
        """Where the content is once it is published."""
        return f"{self.folder}/{digest[:2]}/{digest[2:]}"

    def stage(self, data: bytes) -> str:
        """Write ``data`` if the store does not have it yet, mend it if what the store has is damaged.

        Returns its digest.
        """
        digest = hash_bytes(data)
        if digest in self._staged:
            return digest
        if not os.path.exists(self.path(digest)):  # noqa: PTH110 - per file
            _disk.write(f"{self._staging}/{digest}", data, _MODE, backdated=True)
            self._staged.add(digest)
        elif self.damage(digest):
            self.restore(digest, data)
        return digest

    def publish(self) -> None:
        """Make what was staged durable, then visible."""
        staged = self.staged
        _disk.flush(f"{self._staging}/{digest}" for digest in staged)
        folders = dict.fromkeys(f"{self.folder}/{digest[:2]}" for digest in staged)
        for folder in folders:
            with suppress(FileExistsError):
                _disk.mkdir(folder)
        for digest in staged:
            _disk.rename(f"{self._staging}/{digest}", self.path(digest))
        if folders:
            _disk.flush([*folders, self.folder])
        self._staged.clear()

    def look_at(self, digest: str, size: int) -> None:
        """Raise ``DamagedError`` unless an object has ``size`` bytes, which are read if they were ever written to."""
        path = self.path(digest)
        found = os.stat(path)  # noqa: PTH116 - per file
        if found.st_size == size and found.st_mtime_ns == _disk.LONG_AGO_NS:
            return
        if found.st_size != size or self.damage(digest):
            raise missing(path)
        with suppress(PermissionError):  # of another user: then it is read each time
            _disk.backdate(path)

    def forget_staged(self) -> None:
        """Nothing is staged any more: somebody cleared the staging folder."""
        self._staged.clear()

    def restore(self, digest: str, data: bytes) -> None:
        """Put ``data``, which hashes to ``digest``, in the place of a missing or damaged object."""
        place = self.path(digest)
        with suppress(FileExistsError):
            _disk.mkdir(os.path.dirname(place))  # noqa: PTH120 - a string
        _disk.replace(place, data, self._staging, backdated=True)
        _disk.fsync(self.folder)

    def protect(self, digest: str) -> None:
        """Make a published object, and what is linked to it, read-only again."""
        _disk.chmod(self.path(digest), _MODE)

    def remove(self, digests: Iterable[str]) -> None:
        """Remove published objects that nothing refers to."""
        for digest in digests:
            _disk.unlink(self.path(digest))

    def read(self, digest: str) -> bytes:
        """The content, published or staged; raises ``DamagedError`` unless it hashes to its name."""
        data = _read(self.path(digest))
        if data is None:
            data = _read(f"{self._staging}/{digest}")
        if data is None or hash_bytes(data) != digest:
            raise missing(self.path(digest))
        return data

    def damage(self, digest: str) -> str | None:
        """What is wrong with a published object, or None."""
        try:
            return None if hash_file(Path(self.path(digest))) == digest else "its object does not hash to its name"
        except FileNotFoundError:
            return "its object is missing"
        except OSError as problem:
            return f"its object cannot be read ({problem.strerror})"

    def names(self) -> Iterator[str]:
        """Everything in the folder, such as ``ab/cdef``, but for the folders that objects lie in."""
        for folder, folders, files in os.walk(self.folder):
            above = folder[len(self.folder) + 1 :]
            known = [] if above else [name for name in folders if _FOLDER.fullmatch(name)]
            foreign = [name for name in folders if name not in known]
            folders[:] = known
            yield from (f"{above}/{name}" if above else name for name in (*files, *foreign))

    def digests(self) -> Iterator[str]:
        """The digests of all published objects."""
        return (name.replace("/", "") for name in self.names() if is_name(name))


def is_name(name: str) -> bool:
    """Whether an object can lie at this path below the folder of objects."""
    return _NAME.fullmatch(name) is not None


def missing(path: str) -> DamagedError:
    """The error for an object that is not there, or not what it was."""
    return DamagedError(f"The object {path} is missing or damaged: run `hotswap verify` to see what it affects.")


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise unreadable(path, problem) from problem
