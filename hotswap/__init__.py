"""Versions of code: freeze a package into immutable snapshots, run them side by side, cut over between them.

>>> import hotswap
>>> store = hotswap.Store("snapshots")
>>> old = store.freeze(hotswap.GitSource(".", "my_lab", "HEAD~1"))      # doctest: +SKIP
>>> hotswap.open(old.id).run("my_lab.recipes:plan", 900)                # doctest: +SKIP

The names below are loaded when they are first used, because every version process imports this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotswap.archive import ArchiveSource, export, load
    from hotswap.compare import Difference
    from hotswap.compare import compare as diff
    from hotswap.depot import Depot
    from hotswap.errors import HotswapError
    from hotswap.generations import FileGenerations, Generation, Generations
    from hotswap.routing import versioned_broker
    from hotswap.snapshot import Snapshot
    from hotswap.source import GitSource, TreeSource
    from hotswap.store import Retention, Store
    from hotswap.versions import Version, open  # noqa: A004 - reads as hotswap.open

_HOMES = {
    "ArchiveSource": "archive.ArchiveSource",
    "Depot": "depot.Depot",
    "Difference": "compare.Difference",
    "FileGenerations": "generations.FileGenerations",
    "Generation": "generations.Generation",
    "Generations": "generations.Generations",
    "GitSource": "source.GitSource",
    "HotswapError": "errors.HotswapError",
    "Retention": "store.Retention",
    "Snapshot": "snapshot.Snapshot",
    "Store": "store.Store",
    "TreeSource": "source.TreeSource",
    "Version": "versions.Version",
    "diff": "compare.compare",
    "export": "archive.export",
    "load": "archive.load",
    "open": "versions.open",
    "versioned_broker": "routing.versioned_broker",
}

__all__ = [
    "ArchiveSource",
    "Depot",
    "Difference",
    "FileGenerations",
    "Generation",
    "Generations",
    "GitSource",
    "HotswapError",
    "Retention",
    "Snapshot",
    "Store",
    "TreeSource",
    "Version",
    "diff",
    "export",
    "load",
    "open",
    "versioned_broker",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hotswap' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].rpartition(".")
    return getattr(import_module(f"hotswap.{module}"), attribute)
