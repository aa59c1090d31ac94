"""The run records: what each process of this host is, kept in files so that the next fleet can find and adopt it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hotswap.files import write_private
from hotswap.process.identity import Identity
from hotswap.wire import Address


class Started(NamedTuple):
    """A version process that serves at ``address``; ``instance`` tells it from its predecessors of the same name."""

    name: str
    address: Address
    identity: Identity
    instance: str


@dataclass(frozen=True)
class Run:
    """One process: ``kind`` is zygote, template or process; ``entry`` and ``arguments`` start its like again."""

    name: str
    kind: str
    snapshot: str | None
    identity: Identity
    address: Address
    instance: str
    entry: str | None = None
    arguments: dict[str, Any] | None = None

    def started(self) -> Started:
        return Started(self.name, self.address, self.identity, self.instance)


class Runs:
    """The records of one run folder, each a file that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, run: Run) -> None:
        write_private(self._path(run.name), json.dumps(asdict(run)))

    def forget(self, name: str, instance: str | None = None) -> None:
        """Drop the record of a process; with ``instance``, not that of a successor of the same name."""
        if instance is None or any(run.instance == instance for run in self.load() if run.name == name):
            self._path(name).unlink(missing_ok=True)

    def load(self) -> Iterator[Run]:
        """Every record that can be read; one that cannot is of a process never announced, or just forgotten."""
        for path in self._folder.glob("*.run.json"):
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
                data = json.loads(path.read_text())
                identity = Identity.from_dict(data.pop("identity"))
                host, port = data.pop("address")
                yield Run(identity=identity, address=(host, port), **data)

    def exit_outcome(self, name: str, identity: Identity) -> str | None:
        """What the process wrote about its own end, or None when it could not."""
        path = self._folder / f"{name}.exit.json"
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(path.read_text())
            if Identity.from_dict(record["identity"]) == identity:
                return str(record["outcome"])
        return None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.run.json"
