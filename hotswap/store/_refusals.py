"""What the disk refuses to those who read, in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hotswap.errors import StoreError


@contextmanager
def reading(place: Path | str) -> Iterator[None]:
    """Turn an ``OSError`` into a ``StoreError`` that names what cannot be read, ``place`` if the system does not."""
    try:
        yield
    except OSError as problem:
        raise unreadable(problem.filename or place, problem) from problem


def names_in(folder: Path) -> list[str]:
    """Everything in a folder, sorted; nothing if there is no such folder."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - a Path for each is not needed
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise unreadable(folder, problem) from problem


def unreadable(place: Path | str, problem: OSError) -> StoreError:
    """The error for a file or folder that the system does not let us read."""
    advice = "make it readable for this user" if isinstance(problem, PermissionError) else "see to it"
    return StoreError(f"{place} cannot be read ({problem.strerror}): {advice} and try again.")
