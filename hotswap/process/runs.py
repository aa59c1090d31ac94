"""Run records: what each process of a host is, written by the process itself before it does anything else.

So whatever dies, and at whatever instant: a process that runs code has a record by which it can be found, adopted and
stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bson import json_util

from hotswap.files import write_private
from hotswap.process.identity import Identity
from hotswap.wire import Address

KEPT: Final = 100
"""Of so many processes that ended last, log and exit record are kept."""

_RECORD: Final = ".run.json"
_EXIT: Final = ".exit.json"
_LOG: Final = ".log"
_TOLD: Final = ".told"


@dataclass(frozen=True)
class Run:
    """One process: ``kind`` is zygote, template or process; ``entry`` and ``arguments`` start its like again.

    ``log_start`` is how long its log was, in bytes, when it began. One that ``ends`` was told to.
    ``spawned_because`` has the reasons, if it was spawned and not forked.
    """

    name: str
    kind: str
    snapshot: str | None
    identity: Identity
    address: Address
    instance: str
    entry: str | None = None
    arguments: dict[str, Any] | None = None
    log_start: int = 0
    ends: bool = False
    spawned_because: list[str] = field(default_factory=list)


class Runs:
    """The records of one run folder, each a file that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, run: Run) -> None:
        """Replace the record as a whole; not flushed to disk, as no process outlives a crash of its host."""
        path = self._path(run)
        unfinished = path.with_suffix(f".{os.getpid()}.new")
        with open(unfinished, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(json.dumps(asdict(run)))
        unfinished.replace(path)

    def forget(self, run: Run) -> None:
        """Drop the record of a process that has ended, not that of a successor of the same name."""
        self._path(run).unlink(missing_ok=True)

    def load(self) -> Iterator[Run]:
        """Every record that can be read; one that cannot is of a process that was just forgotten."""
        for path in self._folder.glob(f"*{_RECORD}"):
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
                data = json.loads(path.read_text())
                identity = Identity.from_dict(data.pop("identity"))
                host, port = data.pop("address")
                yield Run(identity=identity, address=(host, port), **data)

    def exit_outcome(self, run: Run) -> str | None:
        """What the process wrote about its own end, or None when it could not."""
        path = self._folder / f"{run.name}{_EXIT}"
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(path.read_text())
            if Identity.from_dict(record["identity"]) == run.identity:
                return str(record["outcome"])
        return None

    def log_size(self, name: str) -> int:
        """Bytes in the log of a name now; none before its first process."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / f"{name}{_LOG}").stat().st_size
        return 0

    def last_words(self, run: Run, lines: int = 3, most: int = 4096) -> list[str]:
        """The last lines of what the process itself wrote to its log."""
        with contextlib.suppress(FileNotFoundError), (self._folder / f"{run.name}{_LOG}").open("rb") as log:
            log.seek(max(run.log_start, self.log_size(run.name) - most))
            return log.read().decode(errors="replace").strip().splitlines()[-lines:]
        return []

    def told(self, name: str) -> dict[str, Any] | None:
        """What the template of that name told when it was first asked; None if that is not known (any more)."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            told = json_util.loads((self._folder / f"{name}{_TOLD}").read_text())
            return told if isinstance(told, dict) else None
        return None

    def keep_told(self, name: str, told: dict[str, Any]) -> None:
        write_private(self._folder / f"{name}{_TOLD}", json_util.dumps(told))

    def forget_told(self) -> None:
        """Take whatever the templates tell next for right, as when the software that asks them was changed."""
        for path in self._folder.glob(f"*{_TOLD}"):
            path.unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove the logs and exit records of all but the ``KEPT`` processes that ended last."""
        running = {run.name for run in self.load()}
        ended = {path.name.removesuffix(_LOG) for path in self._folder.glob(f"*{_LOG}")} - running
        for name in sorted(ended, key=self._ended_at)[:-KEPT]:
            for suffix in (_LOG, _EXIT, _TOLD):
                (self._folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _ended_at(self, name: str) -> float:
        """When its last process wrote its exit record, or else to its log."""
        times = []
        for suffix in (_LOG, _EXIT):
            with contextlib.suppress(FileNotFoundError):
                times.append((self._folder / f"{name}{suffix}").stat().st_mtime)
        return max(times, default=0.0)

    def _path(self, run: Run) -> Path:
        return self._folder / f"{run.name}.{run.instance[:8]}{_RECORD}"
