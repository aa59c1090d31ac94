"""Holds: small files that keep a snapshot from being collected, each with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from hotswap import _disk
from hotswap.digest import hash_bytes
from hotswap.errors import StoreError
from hotswap.store._refusals import names_in

_NAME = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{16}\.json")


class Holds:
    """The holds in ``folder``, one file each; whoever changes them has the store's lock."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder = folder
        self._staging = staging

    def names(self) -> list[str]:
        """Everything in the folder."""
        return names_in(self.folder)

    def ids(self) -> frozenset[str]:
        """The snapshots that are held."""
        return frozenset(match[1] for name in self.names() if (match := _NAME.fullmatch(name)))

    def of(self, identity: str) -> tuple[str, ...]:
        """The reasons why a snapshot is held, sorted."""
        return tuple(sorted(self._reason(name) for name in self._of(identity)))

    def place(self, identity: str, reason: str) -> None:
        """Hold a snapshot, durably; a reason that it is held for already changes nothing."""
        name = name_of(identity, reason)
        if name in self.names():
            return
        facts = {"snapshot": identity, "reason": reason, "since": datetime.now(UTC).isoformat()}
        data = json.dumps(facts, indent=2).encode("ascii") + b"\n"
        _disk.replace(str(self.folder / name), data, str(self._staging))

    def drop(self, identity: str, reason: str | None) -> tuple[str, ...]:
        """Drop the hold with this reason, or all; returns the reasons dropped."""
        dropped = {name: told for name in self._of(identity) if reason in {None, told := self._reason(name)}}
        self.remove(dropped)
        return tuple(sorted(dropped.values()))

    def remove(self, names: Iterable[str]) -> None:
        """Remove these files, durably."""
        for name in names:
            _disk.unlink(str(self.folder / name))
        _disk.fsync(str(self.folder))

    def damaged(self) -> Iterator[tuple[str, str]]:
        """Held snapshots, each with the name of a hold that does not tell the reason it was made for."""
        for name in self.names():
            if (match := _NAME.fullmatch(name)) and _name(match[1], self._reason(name)) != name:
                yield match[1], name

    def _of(self, identity: str) -> list[str]:
        return [name for name in self.names() if name.startswith(f"{identity}.")]

    def _reason(self, name: str) -> str:
        try:
            return str(json.loads((self.folder / name).read_bytes())["reason"])
        except (OSError, ValueError, KeyError, TypeError):  # better kept for no known reason than lost
            return f"a reason that cannot be read from {name}"


def is_name(name: str) -> bool:
    """Whether a hold can have this file name."""
    return _NAME.fullmatch(name) is not None


def name_of(identity: str, reason: str) -> str:
    """The name of the file that holds a snapshot for this reason; raises ``StoreError`` if it is empty."""
    if not reason.strip():
        raise StoreError("A hold needs a reason: say who or what needs the snapshot.")
    return _name(identity, reason)


def _name(identity: str, reason: str) -> str:
    return f"{identity}.{hash_bytes(reason.encode('utf-8', 'surrogatepass'))[:16]}.json"
