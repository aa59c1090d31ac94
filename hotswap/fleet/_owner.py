"""One fleet at a time on a run folder: two would both start, and restart, what they find there."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from hotswap.errors import ProcessError


def own(run_dir: Path) -> IO[str]:
    """Lock the folder until the file returned is closed, or its process ends however it does.

    Raises ProcessError, naming the process, when another fleet has it.
    """
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (run_dir / "fleet.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        pid = file.read() or "unknown"
        file.close()
        raise ProcessError(
            f"The fleet of process {pid} looks after {run_dir}: end that one, or give this one another folder."
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
