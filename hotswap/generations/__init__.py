"""Which snapshot is current, and which ones were: in MongoDB for laboratories, in files of the store for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hotswap.generations._file import FileGenerations, applications
from hotswap.generations._generation import Generation, UnknownGenerationError

if TYPE_CHECKING:
    from hotswap.generations._mongo import Generations, SnapshotRecord, SnapshotState, SnapshotStates

__all__ = [
    "FileGenerations",
    "Generation",
    "Generations",
    "SnapshotRecord",
    "SnapshotState",
    "SnapshotStates",
    "UnknownGenerationError",
    "applications",
]

_IN_MONGODB = {"Generations", "SnapshotRecord", "SnapshotState", "SnapshotStates"}


def __getattr__(name: str) -> Any:
    """What needs pymongo is loaded by those who use it."""
    if name not in _IN_MONGODB:
        raise AttributeError(f"module 'hotswap.generations' has no attribute {name!r}")
    from hotswap.generations import _mongo

    return getattr(_mongo, name)
