"""Where code was when it ended its own process: written down by the process that ends, read by whoever finds out."""

from __future__ import annotations

import faulthandler
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

STANDARD_ERROR: Final = 2
_BEGINNING: Final = "(most recent call first):"


@contextmanager
def told(descriptor: int = STANDARD_ERROR) -> Iterator[None]:
    """Have code that crashes, or leaves by ``os._exit``, inside the block write to the descriptor where it was."""
    leave, mine = os._exit, os.getpid()

    def leave_telling(status: int) -> NoReturn:
        if os.getpid() == mine:  # and not a fork that the code made
            faulthandler.dump_traceback(descriptor, all_threads=False)
        leave(status)

    os._exit = leave_telling
    faulthandler.enable(descriptor, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()
        os._exit = leave


def place(text: str, tree: Path) -> tuple[str, int] | None:
    """The innermost file below ``tree``, relative to it, and its line, that the last of such writings names."""
    last = text.rpartition(_BEGINNING)[2]
    found = re.search(rf'File "{re.escape(str(tree))}/(.+)", line (\d+) in ', last)
    return (found[1], int(found[2])) if found else None
