"""The classes that a snapshot defines, and what decides how each behaves."""

from __future__ import annotations

import ast
import sys
import warnings
from functools import cached_property, lru_cache

from hotswap.closure import Closure, Verdict
from hotswap.digest import Json, Memory, hash_json
from hotswap.environment import Environment, fingerprint
from hotswap.snapshot import FileEntry, Snapshot
from hotswap.store import Store

_KNOWN = Memory()
"""The classes of modules by content: most are the same in two snapshots."""


class Definitions:
    """Of one snapshot of ``store``; ``registration`` is that of ``Closure``."""

    def __init__(self, store: Store, snapshot: Snapshot, registration: frozenset[str]) -> None:
        self._snapshot = snapshot
        self._tree = tree = store.tree(snapshot.id)
        cache = store.root / "cache" / "closure"
        files = {entry.path: entry.digest for entry in snapshot.files}
        self._closure = Closure(tree, files, registration=registration, cache=cache)

    @cached_property
    def classes(self) -> frozenset[str]:
        """The public classes that statements of modules define, as ``module:Class``."""
        return frozenset(
            f"{module}:{name}" for module, entry in self._modules.items() for name in self._classes_in(entry)
        )

    def has(self, name: str) -> bool:
        """Whether there is ``module:Class``, as far as the source tells."""
        return self._closure.has(name)

    def digest(self, name: str, with_libraries: bool) -> str:
        """What decides how ``module:Class`` behaves; ``with_libraries``, also the versions of what its code imports."""
        verdict = self._closure.verdict(name)
        return hash_json([verdict.digest, self._libraries(verdict)]) if with_libraries else verdict.digest

    @cached_property
    def _modules(self) -> dict[str, FileEntry]:
        return {_module(entry.path): entry for entry in self._snapshot.files if entry.path.endswith(".py")}

    def _classes_in(self, entry: FileEntry) -> list[str]:
        known = _KNOWN.get(entry.digest)
        if not isinstance(known, list):
            known = [*_public_classes((self._tree / entry.path).read_bytes())]
            _KNOWN.update({entry.digest: known})
        return [str(name) for name in known]

    def _libraries(self, verdict: Verdict) -> Json:
        environment = self._snapshot.environment
        needed = _distributions(frozenset(verdict.imports) - {name.partition(".")[0] for name in self._modules})
        if needed is None:
            return environment.to_dict()
        used = tuple(one for one in environment.distributions if one.name in needed)
        return Environment(environment.python, used).to_dict()


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _public_classes(source: bytes) -> tuple[str, ...]:
    """Those of class statements at the top of a module; none if it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ()
    return tuple(node.name for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


@lru_cache(maxsize=1 << 10)
def _distributions(imported: frozenset[str]) -> frozenset[str] | None:
    """The distributions behind these top-level names; None if one of the names is not installed here."""
    found: set[str] = set()
    for name in imported - sys.stdlib_module_names:
        behind = fingerprint([name]).distributions
        if not behind:
            return None
        found.update(one.name for one in behind)
    return frozenset(found)
