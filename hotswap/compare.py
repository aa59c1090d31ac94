"""The difference of two snapshots: files, environment, and the classes that behave differently."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hotswap.environment import EnvironmentChange
from hotswap.errors import StoreError
from hotswap.snapshot import FileEntry, Snapshot
from hotswap.store import Store


@dataclass(frozen=True, slots=True)
class Difference:
    """Sorted posix paths, and what changed in the environment; a file whose mode alone differs is changed."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    environment: tuple[EnvironmentChange, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.added or self.removed or self.changed or self.environment)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; each environment change is a list ``[name, before, after]``."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": list(self.changed),
            "environment": [[change.name, change.before, change.after] for change in self.environment],
        }


@dataclass(frozen=True, slots=True)
class DefinitionChange:
    """A class, ``module:Class``, and the digests of what decides how it behaves; None where it is absent."""

    name: str
    before: str | None
    after: str | None

    @property
    def what(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def compare(before: Snapshot, after: Snapshot) -> Difference:
    """What changes on the way from ``before`` to ``after``."""
    old, new = _by_path(before), _by_path(after)
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(path for path in old.keys() & new.keys() if old[path] != new[path])),
        environment=before.environment.compare(after.environment),
    )


def changed_definitions(
    store: Store,
    before: Snapshot,
    after: Snapshot,
    names: Iterable[str] = (),
    *,
    registration: frozenset[str] = frozenset(),
) -> tuple[DefinitionChange, ...]:
    """The classes that may behave differently in ``after`` than in ``before``, by name: what a change touches.

    All public classes of all modules are looked at, or those in ``names``. The source decides (see ``Closure``, also
    for ``registration``), and the versions of the distributions that it imports: too many may be named, never too
    few. Raises ``StoreError`` for a name that neither snapshot has.
    """
    from hotswap._definitions import Definitions  # what it needs is slow to import, and seldom needed

    wanted = frozenset(names)
    sides = [Definitions(store, one, registration) for one in (before, after)]
    for name in sorted(wanted):
        if not any(side.has(name) for side in sides):
            raise StoreError(f"Neither snapshot has a class {name!r}: name one as in my_lab.devices:Furnace.")
    if before.id == after.id:
        return ()
    listed = sides[0].classes | sides[1].classes
    with_libraries = before.environment != after.environment
    changes = []
    for name in sorted(wanted or listed):
        there = [name in side.classes if name in listed else side.has(name) for side in sides]
        old, new = (side.digest(name, with_libraries) if has else None for side, has in zip(sides, there, strict=True))
        if old != new:
            changes.append(DefinitionChange(name, old, new))
    return tuple(changes)


def patch(store: Store, before: Snapshot, after: Snapshot) -> str:
    """The difference of the files as a unified diff; of files that are not text, and of modes, one line each."""
    difference = compare(before, after)
    paths = sorted((*difference.added, *difference.removed, *difference.changed))
    old, new = _by_path(before), _by_path(after)
    return "".join(line for path in paths for line in _file_patch(store, path, old.get(path), new.get(path)))


def _by_path(snapshot: Snapshot) -> dict[str, FileEntry]:
    return {entry.path: entry for entry in snapshot.files}


def _file_patch(store: Store, path: str, old: FileEntry | None, new: FileEntry | None) -> Iterator[str]:
    if old and new and old.mode != new.mode:
        yield f"mode of {path} changed from {old.mode:o} to {new.mode:o}\n"
    before, after = _lines(store, old), _lines(store, new)
    if before is None or after is None:
        yield f"binary file {path} differs\n"
        return
    names = (f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null")
    for line in difflib.unified_diff(before, after, *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(store: Store, entry: FileEntry | None) -> list[str] | None:
    """None for content that is not text."""
    if entry is None:
        return []
    data = store.content(entry)
    try:
        return None if b"\0" in data else io.StringIO(data.decode("utf-8")).readlines()  # form feeds end no line
    except UnicodeDecodeError:
        return None
