"""The logs of the processes of a laboratory, read and followed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import watchfiles

from hotswap.errors import HotswapError


class NoLogError(HotswapError):
    """There is no log of that process."""


@dataclass(frozen=True)
class Line:
    """One line of the log of a process."""

    process: str
    text: str


def logs_of(state_dir: Path, process: str | None = None) -> dict[str, Path]:
    """Name of each process -> its log; of those that ``process`` is, or begins, the name of.

    Without a name, of the supervisor, the managers and the servers. Raises NoLogError when there is none.
    """
    services = {path.stem: path for path in sorted((state_dir / "logs").glob("*.log"))}
    if process is None:
        found = services
    else:
        versions = {path.stem: path for path in sorted((state_dir / "run" / "processes").glob("*.log"))}
        everything = services | versions
        exact = {name: path for name, path in everything.items() if name == process}
        found = exact or {name: path for name, path in everything.items() if name.startswith(process)}
    if not found and process:
        raise NoLogError(f"There is no log of a process {process!r}; there are {', '.join(everything)}.")
    if not found:
        raise NoLogError("There is no log of this lab, which was never launched; `lab launch` starts it.")
    return found


def lines_of(logs: dict[str, Path], count: int, *, follow: bool = False, ended: Event | None = None) -> Iterator[Line]:
    """The last lines of each log; to ``follow``, then every line that is added to what was told, until ``ended``."""
    read_to: dict[str, int] = {}
    for name, path in logs.items():
        with path.open("rb") as file:
            last = deque(file, maxlen=count)
            read_to[name] = file.tell()
        if follow and last and not last[-1].endswith(b"\n"):
            read_to[name] -= len(last.pop())
        for text in last:
            yield Line(name, text.decode("utf-8", errors="replace").rstrip("\n"))
    if follow:
        yield from _followed(logs, read_to, ended)


def _followed(logs: dict[str, Path], read_to: dict[str, int], ended: Event | None) -> Iterator[Line]:
    folders = sorted({path.parent for path in logs.values()})
    yield from _added(logs, read_to)
    for _ in watchfiles.watch(*folders, stop_event=ended, debounce=50, step=10, recursive=False):
        yield from _added(logs, read_to)


def _added(logs: dict[str, Path], read_to: dict[str, int]) -> Iterator[Line]:
    for name, path in logs.items():
        if not path.exists():
            continue
        if path.stat().st_size < read_to[name]:
            read_to[name] = 0
        with path.open("rb") as file:
            file.seek(read_to[name])
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        read_to[name] += len(whole)
        for text in whole.decode("utf-8", errors="replace").splitlines():
            yield Line(name, text)
