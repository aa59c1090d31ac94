"""The folder in which an application runs on this host: which worker has it, and what its processes share."""

from __future__ import annotations

import fcntl
import json
import secrets
from pathlib import Path
from typing import IO

from hotswap.errors import ProcessError
from hotswap.files import write_private
from hotswap.process.identity import Identity


def applications(root: Path) -> list[str]:
    """Those that a worker has run from the store in ``root``, by name."""
    return sorted(path.parent.name for path in (root / "run").glob("*/lock"))


class RunFolder:
    """Of ``app`` and the store in ``root``; made when it is taken."""

    def __init__(self, root: Path, app: str) -> None:
        self.path = root / "run" / app
        self._app = app

    def take(self) -> IO[str]:
        """Have the folder until the file returned is closed, or this process ends. Raises ProcessError otherwise."""
        lock = self.take_if_free()
        if lock is None:
            raise ProcessError(
                f"A worker of {self._app} runs on this store already: end it with `hotswap stop {self._app}`, or name "
                "another store."
            )
        json.dump(Identity.mine().to_dict(), lock)
        lock.flush()
        return lock

    def take_if_free(self) -> IO[str] | None:
        """As ``take``, but namelessly, and None while another process has it. Raises ProcessError if it cannot be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise ProcessError(
                f"A worker cannot write to {self.path} ({error.strerror}); name another store."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        lock.truncate(0)
        return lock

    def worker(self) -> Identity | None:
        """Who took the folder, if that can be told."""
        try:
            return Identity.from_dict(json.loads((self.path / "lock").read_text()))
        except (FileNotFoundError, ValueError):
            return None

    def secret(self) -> str:
        """What the processes of this folder know each other by; it outlives the worker, and so do they."""
        path = self.path / "secret"
        if not path.exists():
            write_private(path, secrets.token_hex(32))
        return path.read_text()
