"""One managers process at a time: who takes over starts its managers when those before have ended."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait for whoever holds ``folder``, then hold it. The end of a process lets go of it, however that comes.

    A manager may take what another is half-way through for what a crash left, so two must never be at work at once.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)  # the folder itself, so that there is no lock file to leave behind
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
