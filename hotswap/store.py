"""The content-addressed store of snapshots.

``objects/`` holds each distinct content once, ``trees/<id>/`` the importable tree of each snapshot, and
``manifests/<id>.json``, published last, makes a snapshot exist. Readers take no lock; writers take turns.
"""

from __future__ import annotations

import fcntl
import gc
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hotswap import _tree
from hotswap._freezing import Reader
from hotswap._objects import Objects, flush_folders, write_durably
from hotswap.environment import Environment, fingerprint
from hotswap.errors import DamagedError, StoreError, UnknownSnapshotError
from hotswap.snapshot import FileEntry, Snapshot
from hotswap.source import Source

log = logging.getLogger(__name__)

_ID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Frozen:
    """What freezing gave: ``new`` is False if the store had the snapshot already and nothing was written."""

    snapshot: Snapshot
    new: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """``path``, in the tree of the snapshot with the full id ``snapshot``, is not what was frozen."""

    snapshot: str
    path: str
    what: str


@dataclass(frozen=True, slots=True)
class _Record:
    """A manifest: the snapshot, and the byte-code that its tree holds beside its files."""

    snapshot: Snapshot
    bytecode: tuple[FileEntry, ...]

    def contents(self) -> tuple[FileEntry, ...]:
        return self.snapshot.files + self.bytecode

    def to_json(self) -> bytes:
        return json.dumps({"snapshot": self.snapshot.to_dict(), "bytecode": self.bytecode}).encode("ascii")

    @classmethod
    def from_json(cls, data: bytes) -> _Record:
        plain = json.loads(data)
        bytecode = tuple(FileEntry(*entry) for entry in plain["bytecode"])
        return cls(Snapshot.from_dict(plain["snapshot"]), bytecode)


class Store:
    """Snapshots below the folder ``root``, which the first freeze creates."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self._trees = self.root / "trees"
        self._manifests = self.root / "manifests"
        self._staging = self.root / "tmp"
        self._objects = Objects(self.root / "objects", self._staging)
        self._reader = Reader(self._objects, self.root / "cache")

    def freeze(self, source: Source, environment: Environment | None = None) -> Snapshot:
        """The snapshot of what ``source`` holds now, with the origin of ``source``.

        The environment is the fingerprint of what the code imports, unless given. Raises ``SourceError`` if the
        source cannot be frozen; nothing becomes visible then.
        """
        return self.ensure(source, environment).snapshot

    def ensure(self, source: Source, environment: Environment | None = None) -> Frozen:
        """As ``freeze``, and tell whether the snapshot is new."""
        with self._writing(), _no_collection():
            try:
                return self._freeze(source, environment)
            except DamagedError as problem:
                log.warning("%s Now all files are read again.", problem)
                self._reader.forget()
                return self._freeze(source, environment)

    def open(self, name: str) -> Snapshot:
        """The snapshot with this id or unambiguous prefix, after a check of names, sizes and modes in its tree.

        Raises ``UnknownSnapshotError`` or ``DamagedError``.
        """
        record = self._load(self.resolve(name))
        problem = next(self._shape_problems(record), None)
        if problem is not None:
            raise DamagedError(
                f"Snapshot {record.snapshot.short_id} is damaged, {problem.path}: {problem.what}; "
                "run `hotswap verify` for the whole list."
            )
        return record.snapshot

    def resolve(self, prefix: str) -> str:
        """The full id that starts with ``prefix``; raises ``UnknownSnapshotError`` if there is none, or several."""
        found = [one for one in self._ids() if one.startswith(prefix)] if prefix else []
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownSnapshotError(f"{len(found)} snapshots start with {prefix!r}: give more characters.")
        raise UnknownSnapshotError(f"No snapshot in {self.root} starts with {prefix!r}: see `hotswap list`.")

    def tree(self, name: str) -> Path:
        """The folder to put on ``sys.path``: it holds the package under its own name."""
        return self._trees / self.resolve(name)

    def list(self) -> Sequence[Snapshot]:
        """All snapshots, newest first; a damaged manifest is logged and left out."""
        found = []
        for identity in self._ids():
            try:
                found.append(self._load(identity).snapshot)
            except StoreError as problem:
                log.warning("%s", problem)
        return sorted(found, key=lambda snapshot: snapshot.frozen_at, reverse=True)

    def read(self, name: str, path: str) -> bytes:
        """The content of one file of a snapshot; raises ``DamagedError`` unless it is what was frozen."""
        snapshot = self._load(self.resolve(name)).snapshot
        entry = snapshot.file(path)
        if entry is None:
            raise StoreError(
                f"Snapshot {snapshot.short_id} has no file {path!r}: see `hotswap show {snapshot.short_id}`."
            )
        return self.content(entry)

    def content(self, entry: FileEntry) -> bytes:
        """The content of an entry of any snapshot of this store; raises ``DamagedError`` as ``read`` does."""
        return self._objects.read(entry.digest)

    def verify(self, name: str | None = None, progress: Callable[[int, int], None] | None = None) -> Sequence[Damage]:
        """Read everything again, of one snapshot or of all, and tell what is not as it was frozen.

        ``progress`` is called with the number of files looked at and the number of all.
        """
        damages: list[Damage] = []
        records = []
        for identity in [self.resolve(name)] if name is not None else self._ids():
            try:
                records.append(self._load(identity))
            except StoreError as problem:
                damages.append(Damage(identity, f"manifests/{identity}.json", str(problem)))
        total = sum(len(record.contents()) for record in records)
        for done, found in enumerate(self._damages(records), start=1):
            damages += found
            if progress is not None:
                progress(done, total)
        return damages

    def _damages(self, records: Iterable[_Record]) -> Iterator[Sequence[Damage]]:
        """What is wrong with each file of each record; what does not belong there comes with the first."""
        objects: dict[str, str | None] = {}
        for record in records:
            found = list(self._shape_problems(record))
            told = {damage.path for damage in found}
            for entry in record.contents():
                if entry.digest not in objects:
                    objects[entry.digest] = self._objects.damage(entry.digest)
                if entry.path not in told and (what := self._content_problem(record, entry, objects[entry.digest])):
                    found.append(Damage(record.snapshot.id, entry.path, what))
                yield found
                found = []

    def _content_problem(self, record: _Record, entry: FileEntry, damage: str | None) -> str | None:
        """``damage`` is what is wrong with the object of the entry."""
        return damage or _tree.content_problem(self._trees / record.snapshot.id, entry, self._objects)

    def _shape_problems(self, record: _Record) -> Iterator[Damage]:
        tree = self._trees / record.snapshot.id
        if not tree.is_dir():
            yield Damage(record.snapshot.id, ".", "the tree is missing")
            return
        for path, what in _tree.shape_problems(tree, record.contents()):
            yield Damage(record.snapshot.id, path, what)

    def _ids(self) -> Sequence[str]:
        try:
            names = os.listdir(self._manifests)  # noqa: PTH208 - a Path per snapshot is not needed
        except FileNotFoundError:
            return []
        return sorted(name.removesuffix(".json") for name in names if len(name) == _ID_LENGTH + len(".json"))

    def _manifest(self, identity: str) -> Path:
        return self._manifests / f"{identity}.json"

    def _load(self, identity: str) -> _Record:
        path = self._manifest(identity)
        try:
            record = _Record.from_json(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise DamagedError(f"The manifest {path} cannot be read ({problem}): freeze the code again.") from problem
        if record.snapshot.id != identity or not record.snapshot.is_consistent():
            raise DamagedError(f"The manifest {path} does not hash to its name: freeze the code again.")
        return record

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the store's lock; whatever lies in the places for unfinished work is then debris of a crash."""
        try:
            for folder in (self.root / "objects", self._trees, self._manifests, self._staging, self.root / "cache"):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("ab")
        except OSError as problem:
            raise StoreError(
                f"The store {self.root} cannot be written ({problem.strerror}): choose another folder."
            ) from problem
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._clear_debris()
            try:
                yield
            finally:
                self._objects.discard()

    def _clear_debris(self) -> None:
        for leftover in self._staging.iterdir():
            leftover.unlink()
        for tree in self._trees.glob(".new-*"):
            _tree.discard(tree)

    def _freeze(self, source: Source, environment: Environment | None) -> Frozen:
        content = self._reader.read(source)
        if environment is None:
            environment = fingerprint(content.imports())
        snapshot = Snapshot.of(source.package, content.files, environment, source.origin)
        new = not self._manifest(snapshot.id).exists()
        self._objects.publish()
        if new:
            self._publish(_Record(snapshot, content.bytecode()))
        else:
            snapshot = replace(self._load(snapshot.id).snapshot, origin=snapshot.origin)
        self._reader.remember(always=new)
        return Frozen(snapshot, new)

    def _publish(self, record: _Record) -> None:
        """Make a snapshot exist: its tree first, its manifest last."""
        identity = record.snapshot.id
        unfinished, tree = self._trees / f".new-{identity}", self._trees / identity
        for leftover in (unfinished, tree):  # without a manifest a tree is what a crash left
            _tree.discard(leftover)
        _tree.build(unfinished, record.contents(), self._objects)
        unfinished.rename(tree)
        flush_folders([str(self._trees)])
        write_durably(self._manifest(identity), record.to_json(), self._staging)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without this the garbage collector walks the tens of thousands of entries of a large tree again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
