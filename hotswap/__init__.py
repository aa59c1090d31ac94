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
    from hotswap.compare import Difference, compare
    from hotswap.errors import HotswapError
    from hotswap.generations import Generation, Generations
    from hotswap.snapshot import Snapshot
    from hotswap.source import GitSource, TreeSource
    from hotswap.store import Store
    from hotswap.versions import Version, open  # noqa: A004 - reads as hotswap.open

_HOMES = {
    "Difference": "compare",
    "Generation": "generations",
    "Generations": "generations",
    "GitSource": "source",
    "HotswapError": "errors",
    "Snapshot": "snapshot",
    "Store": "store",
    "TreeSource": "source",
    "Version": "versions",
    "compare": "compare",
    "open": "versions",
}

__all__ = [
    "Difference",
    "Generation",
    "Generations",
    "GitSource",
    "HotswapError",
    "Snapshot",
    "Store",
    "TreeSource",
    "Version",
    "compare",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hotswap' has no attribute {name!r}")
    return getattr(import_module(f"hotswap.{_HOMES[name]}"), name)
