"""The store itself: freezing, opening, keeping and checking snapshots.

``objects/`` holds each distinct content once, ``trees/<id>/`` the importable tree of each snapshot, and
``manifests/<id>.json``, published last, makes a snapshot exist. Readers take no lock; writers take turns.
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from hotswap import _disk
from hotswap.environment import Environment
from hotswap.errors import DamagedError, StoreError, UnknownSnapshotError
from hotswap.snapshot import FileEntry, Snapshot
from hotswap.source import Source
from hotswap.store import _retention, _tree
from hotswap.store._checks import Damage
from hotswap.store._collecting import Collector
from hotswap.store._freezing import Reader
from hotswap.store._holds import name_of
from hotswap.store._layout import Layout
from hotswap.store._manifests import Record, unknown
from hotswap.store._progress import Progress, Steps
from hotswap.store._refusals import reading
from hotswap.store._repairing import Copy, Repairer
from hotswap.store._retention import Decision, Retention
from hotswap.store._unfinished import Change
from hotswap.store._verifying import Verifier

__all__ = ["Copy", "Damage", "Decision", "Frozen", "Owner", "Retention", "Store"]

log = logging.getLogger(__name__)

_ID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Frozen:
    """What freezing gave: ``new`` is False if the store had the snapshot already and nothing was written."""

    snapshot: Snapshot
    new: bool


@dataclass(frozen=True, slots=True)
class Owner:
    """Who alone knows what refers to the snapshots of a store, and the command that collects them instead."""

    name: str
    how: str


class Store:
    """Snapshots below the folder ``root``, which the first freeze creates.

    Methods that write raise ``StoreError`` when the disk refuses; nothing is half-done then. ``root`` must be on a
    local file system, because locks of the kernel tell who uses a snapshot.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self._layout = Layout(self.root)
        self._manifests = self._layout.manifests
        self._objects = self._layout.objects
        self._reader = Reader(self._objects, self._layout.cache)

    def freeze(self, source: Source, environment: Environment | None = None, *, hold: str | None = None) -> Snapshot:
        """The snapshot of what ``source`` holds now, with the origin of ``source``.

        The environment is the fingerprint of what the code imports, unless given. ``hold`` is the reason of a hold
        that is there before the snapshot is. Raises ``SourceError`` if the source cannot be frozen; nothing becomes
        visible then.
        """
        return self.ensure(source, environment, hold=hold).snapshot

    def ensure(
        self,
        source: Source,
        environment: Environment | None = None,
        *,
        hold: str | None = None,
        frozen_at: datetime | None = None,
        progress: Progress | None = None,
    ) -> Frozen:
        """As ``freeze``, and tell whether the snapshot is new; one from elsewhere brings the time it was frozen at.

        ``progress`` is called with the number of files read and the number of all that are known so far.
        """
        freeze = partial(self._freeze, source, environment, hold, frozen_at, progress)
        try:
            return freeze()
        except DamagedError as problem:  # what is known of the files counts on an object that is gone
            log.info("%s Now all files are read again.", problem)
            self._reader.forget()
            return freeze()

    def open(self, name: str) -> Snapshot:
        """The snapshot with this id or unambiguous prefix, after a check of names, sizes and modes in its tree.

        Raises ``UnknownSnapshotError`` or ``DamagedError``.
        """
        record = self._manifests.load(self.resolve(name))
        problem = next(self._layout.checks().shape(record), None)
        if problem is not None:
            raise DamagedError(
                f"Snapshot {record.snapshot.short_id} is damaged, {problem.path}: {problem.what}; "
                "run `hotswap verify` for the whole list."
            )
        return record.snapshot

    def resolve(self, prefix: str) -> str:
        """The full id that starts with ``prefix``; raises ``UnknownSnapshotError`` if there is none, or several.

        From now on the snapshot is not collected for a while, as ``Retention`` says.
        """
        identity = self._find(prefix)
        with self._manifests.used(identity):
            return identity

    def tree(self, name: str) -> Path:
        """The folder to put on ``sys.path``: it holds the package under its own name."""
        return self._layout.tree(self.resolve(name))

    @contextmanager
    def use(self, name: str) -> Iterator[Snapshot]:
        """Nothing collects the snapshot inside: the kernel keeps the lock until the process ends.

        A child that is forked inside has the lock too, for as long as it keeps the descriptor. Raises as ``open``.
        """
        with self._manifests.used(self._find(name)):
            yield self.open(name)

    def list(self) -> Sequence[Snapshot]:
        """All snapshots, newest first; a damaged manifest is logged and left out."""
        found = []
        for identity in self._manifests.ids():
            try:
                found.append(self._manifests.load(identity).snapshot)
            except UnknownSnapshotError:
                continue  # collected meanwhile
            except StoreError as problem:
                log.warning("%s", problem)
        return sorted(found, key=lambda snapshot: snapshot.frozen_at, reverse=True)

    def read(self, name: str, path: str) -> bytes:
        """The content of one file of a snapshot; raises ``DamagedError`` unless it is what was frozen."""
        snapshot = self._manifests.load(self.resolve(name)).snapshot
        entry = snapshot.file(path)
        if entry is None:
            raise StoreError(
                f"Snapshot {snapshot.short_id} has no file {path!r}: see `hotswap show {snapshot.short_id}`."
            )
        return self.content(entry)

    def imports(self, snapshot: Snapshot) -> frozenset[str]:
        """Top-level names of the modules that the code of a snapshot of this store imports, its own among them."""
        return self._reader.imports(snapshot.files)

    def content(self, entry: FileEntry) -> bytes:
        """The content of an entry of any snapshot of this store; raises ``DamagedError`` as ``read`` does."""
        return self._objects.read(entry.digest)

    def hold(self, name: str, reason: str) -> None:
        """Keep a snapshot from being collected until ``release``; durable, and idempotent for each reason."""
        name_of("", reason)
        with self._manifests.used(identity := self._find(name)), self._layout.writing():
            self._layout.holds.place(identity, reason)

    def release(self, name: str, reason: str | None = None) -> tuple[str, ...]:
        """Drop the hold with this reason, or all of a snapshot; returns the reasons dropped."""
        identity = self._find(name)
        with self._layout.writing():
            return self._layout.holds.drop(identity, reason)

    def holds(self, name: str) -> tuple[str, ...]:
        """The reasons why a snapshot is held, sorted."""
        return self._layout.holds.of(self._find(name))

    def collect(
        self,
        references: Iterable[str] | Mapping[str, str] = (),
        retention: Retention = Retention(),  # noqa: B008 - immutable
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Sequence[Decision]:
        """Remove the snapshots that nothing keeps, and every object without a snapshot; tell of each snapshot why.

        Kept are those in ``references``, which are full ids (as a mapping, with what refers to each); those that are
        held or in use; and what ``retention`` says. ``dry_run`` changes nothing. The newest snapshot comes first.
        ``progress`` is called with how many snapshots and objects were dealt with, and with how many there are, as far
        as is known.
        """
        found = _retention.references_of(references)
        for one in found:
            if len(one) != _ID_LENGTH:
                raise StoreError(f"{one!r} is not the full id of a snapshot: refer to snapshots by full ids.")
        with reading(self.root):
            if not self._manifests.folder.exists():
                return []
        collector = Collector(self._layout, found, retention, Steps(progress))
        return collector.decide() if dry_run else collector.collect()

    def claim(self, owner: str, how: str) -> None:
        """Say that ``owner`` alone knows what refers to the snapshots, and that the command ``how`` collects them.

        Raises ``StoreError`` if the store has another owner.
        """
        present, wanted = self.owner, Owner(owner, how)
        if present == wanted:
            return
        if present is not None and present.name != owner:
            raise StoreError(
                f"The store {self.root} belongs to {present.name}: choose another folder, or delete "
                f"{self._owner_file} if that is gone."
            )
        with self._layout.writing():
            data = json.dumps({"owner": owner, "how": how}).encode("ascii")
            _disk.replace(str(self._owner_file), data + b"\n", str(self._layout.staging))

    @property
    def owner(self) -> Owner | None:
        """Who claimed the store."""
        try:
            plain = json.loads(self._owner_file.read_bytes())
            return Owner(str(plain["owner"]), str(plain["how"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise StoreError(f"{self._owner_file} cannot be read ({problem}): mend it or delete it.") from problem

    def verify(self, name: str | None = None, progress: Progress | None = None) -> Sequence[Damage]:
        """Read everything again, of one snapshot or of all, and tell what is not as it was frozen.

        Of all, what lies in the store and does not belong there is told, too. ``progress`` is called with the number
        of files looked at and the number of all.
        """
        verifier = Verifier(self._layout)
        if name is not None:
            return list(verifier.snapshots([self._find(name)], progress))
        return [*verifier.snapshots(self._manifests.ids(), progress), *verifier.strays()]

    def repair(
        self, damages: Iterable[Damage], copies: Sequence[Copy] = (), progress: Progress | None = None
    ) -> Sequence[Damage]:
        """Mend what ``verify`` found, and return what is still wrong with it.

        Lost objects are looked for in trees and in ``copies``; trees are mended from objects. Foreign files and
        manifests are left as they are. ``progress`` is called with the number of steps done, and of those there are, as
        far as is known: what is mended is read once more.
        """
        found, steps = list(damages), Steps(progress)
        with self._layout.writing():
            pass  # what a crash left half-done is put right first: what was damaged in it may be stray then
        strays = Verifier(self._layout).strays()
        with self._layout.writing():
            Repairer(self._layout, copies, steps).repair([*found, *strays])
        verifier = Verifier(self._layout)
        known = set(self._manifests.ids())
        left = list(verifier.snapshots(sorted({one.snapshot for one in found} & known), steps.part()))
        return [*left, *(one for one in verifier.strays() if one in found)]

    @property
    def _owner_file(self) -> Path:
        return self.root / "owner.json"

    def _find(self, prefix: str) -> str:
        if not prefix:
            raise UnknownSnapshotError(f"Give the id of a snapshot in {self.root}: `hotswap list` has them.")
        found = [one for one in self._manifests.ids() if one.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownSnapshotError(f"{len(found)} snapshots start with {prefix!r}: give more characters.")
        raise unknown(self.root, prefix)

    def _freeze(
        self,
        source: Source,
        environment: Environment | None,
        hold: str | None,
        frozen_at: datetime | None,
        progress: Progress | None,
    ) -> Frozen:
        with self._layout.writing(), _no_garbage_collection():
            return self._freeze_alone(source, environment, hold, frozen_at, progress)

    def _freeze_alone(
        self,
        source: Source,
        environment: Environment | None,
        hold: str | None,
        frozen_at: datetime | None,
        progress: Progress | None,
    ) -> Frozen:
        content = self._reader.read(source, progress)
        if environment is None:
            environment = content.environment()
        snapshot = Snapshot.of(source.package, content.files, environment, source.origin, frozen_at)
        known = self._known(snapshot.id)
        if known is None:
            self._publish(Record(snapshot, content.bytecode()), hold)
        else:
            self._hand_out(known, hold)
            snapshot = replace(known, origin=snapshot.origin)
        self._remember(new=known is None)
        return Frozen(snapshot, new=known is None)

    def _known(self, identity: str) -> Snapshot | None:
        """The snapshot as it was published; None if it was not, or its manifest has to be written again."""
        try:
            return self._manifests.load(identity).snapshot
        except UnknownSnapshotError:
            return None
        except DamagedError as problem:
            log.warning("%s That is done now.", problem)
            return None

    def _publish(self, record: Record, hold: str | None) -> None:
        """Make a snapshot exist: its objects and its tree first, its manifest last."""
        identity = record.snapshot.id
        change = Change(identity, self._objects.staged, self._new_hold(identity, hold))
        with self._layout.unfinished.change(change):
            self._objects.publish()
            if hold is not None:
                self._layout.holds.place(identity, hold)
            self._place_tree(record)
            self._manifests.publish(record)

    def _new_hold(self, identity: str, reason: str | None) -> str | None:
        """The name of the hold that will be placed, unless it is there already."""
        name = None if reason is None else name_of(identity, reason)
        return None if name in self._layout.holds.names() else name

    def _place_tree(self, record: Record) -> None:
        tree = self._layout.tree(record.snapshot.id)
        if tree.exists() and self._layout.checks().is_whole(record):
            return  # only the manifest was lost; somebody may be running this code
        _tree.discard(tree)
        self._layout.place_tree(record)

    def _hand_out(self, snapshot: Snapshot, hold: str | None) -> None:
        """Of a snapshot that the store has."""
        if self._objects.staged:  # it had lost them
            with self._layout.unfinished.change(Change(None, self._objects.staged)):
                self._objects.publish()
        with self._manifests.used(snapshot.id):
            if hold is not None:
                self._layout.holds.place(snapshot.id, hold)

    def _remember(self, *, new: bool) -> None:
        try:
            self._reader.remember(always=new)
        except OSError as problem:
            log.warning("What was learned of the files is not kept, so they are read again: %s", problem)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Without this Python walks the tens of thousands of entries of a large tree again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
