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


def last_lines(logs: dict[str, Path], count: int) -> Iterator[Line]:
    """The last lines of each log."""
    for name, path in logs.items():
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in deque(file, maxlen=count):
                yield Line(name, text.rstrip("\n"))


def follow(logs: dict[str, Path], ended: Event | None = None) -> Iterator[Line]:
    """Every line that is added from now on, until ``ended`` is set."""
    read_to = {name: path.stat().st_size for name, path in logs.items()}
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
