"""The environment of a snapshot: the installed distributions that its code depends on.

What counts are the distributions that provide the imported modules and, transitively, their requirements; not
everything that happens to be installed. Distributions installed from a local folder have a version that says
nothing, so they are digested by content.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import importlib_metadata as metadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hotswap import _local
from hotswap.digest import Json, hash_json

_NOT_INSTALLED = sys.stdlib_module_names | {"__main__"}


@dataclass(frozen=True, slots=True, order=True)
class Distribution:
    """An installed distribution; ``digest`` is that of its content if it is installed from a local folder."""

    name: str
    version: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The Python (``cp311``) and the distributions, by name, that a snapshot was frozen with."""

    python: str
    distributions: tuple[Distribution, ...] = ()

    @property
    def digest(self) -> str:
        """Equal for equal environments on any machine."""
        return hash_json(self._plain())

    def to_dict(self) -> dict[str, Any]:
        """Plain data; each distribution is a list ``[name, version, digest or None]``."""
        return self._plain()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Environment:
        """The opposite of ``to_dict``."""
        return cls(data["python"], tuple(Distribution(*entry) for entry in data["distributions"]))

    def _plain(self) -> dict[str, Json]:
        distributions: list[Json] = [[one.name, one.version, one.digest] for one in self.distributions]
        return {"python": self.python, "distributions": distributions}


def python_tag() -> str:
    """The running Python, such as ``cp311``: byte-code and native libraries of others do not fit."""
    implementation = "cp" if sys.implementation.name == "cpython" else sys.implementation.name
    return f"{implementation}{sys.version_info.major}{sys.version_info.minor}"


def fingerprint(imported: Iterable[str]) -> Environment:
    """The environment behind these top-level module names; names that nothing installed provides do not count."""
    wanted = frozenset(name for name in imported if name not in _NOT_INSTALLED)
    installed = _installed(_signature())
    distributions = (installed.describe(name) for name in installed.closure(wanted))
    return Environment(python_tag(), tuple(sorted(distributions)))


def imported_names(tree: ast.AST) -> frozenset[str]:
    """Top-level names of the modules that parsed code imports absolutely, anywhere in it."""
    return frozenset(name.partition(".")[0] for node in ast.walk(tree) for name in _imports(node))


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module
    elif isinstance(node, ast.Call) and _is_import_call(node.func) and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def _is_import_call(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "import_module"
    return isinstance(function, ast.Name) and function.id in {"import_module", "__import__"}


class _Installed:
    """What was installed when it was made."""

    def __init__(self) -> None:
        self._distributions: dict[str, metadata.IDistribution] = {}
        self._versions: dict[str, str] = {}
        self._folders: dict[str, _local.Folders] = {}
        self._providers: dict[str, set[str]] = {}
        self._closures: dict[frozenset[str], tuple[str, ...]] = {}
        for distribution in metadata.distributions():
            self._add(distribution)
        for module, names in metadata.packages_distributions().items():
            self._providers.setdefault(module, set()).update(canonicalize_name(name) for name in names if name)

    def _add(self, distribution: metadata.IDistribution) -> None:
        name = canonicalize_name(distribution.metadata["Name"] or "")
        if not name or name in self._distributions:
            return
        self._distributions[name] = distribution
        if folders := _local.folders(distribution):
            self._folders[name] = folders
            for module in folders.modules():
                self._providers.setdefault(module, set()).add(name)

    def closure(self, modules: frozenset[str]) -> tuple[str, ...]:
        """Names of the distributions that provide the modules, and of what those require."""
        if modules not in self._closures:
            self._closures[modules] = self._follow(modules)
        return self._closures[modules]

    def describe(self, name: str) -> Distribution:
        """The distribution as it is now: local content is looked at again."""
        folders = self._folders.get(name)
        return Distribution(name, self._version(name), folders.digest() if folders else None)

    def _version(self, name: str) -> str:
        if name not in self._versions:  # reading it parses the whole metadata file
            self._versions[name] = self._distributions[name].version
        return self._versions[name]

    def _follow(self, modules: frozenset[str]) -> tuple[str, ...]:
        roots = {name for module in modules for name in self._providers.get(module, ())}
        todo = [(name, "") for name in sorted(roots)]
        seen = set(todo)
        while todo:
            for wanted in self._requirements(*todo.pop()):
                if wanted not in seen:
                    seen.add(wanted)
                    todo.append(wanted)
        return tuple(sorted({name for name, _ in seen}))

    def _requirements(self, name: str, extra: str) -> Iterator[tuple[str, str]]:
        for text in self._distributions[name].requires or ():
            requirement = _parse(text)
            if requirement is None or not _applies(requirement, extra):
                continue
            required = canonicalize_name(requirement.name)
            if required in self._distributions:
                yield required, ""
                yield from ((required, wanted) for wanted in requirement.extras)


def _parse(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


@lru_cache(maxsize=4)
def _installed(signature: tuple[tuple[str, int], ...]) -> _Installed:  # noqa: ARG001 - it is the key of the cache
    return _Installed()


def _signature() -> tuple[tuple[str, int], ...]:
    """Changes whenever something is installed or removed: the time stamps of the folders that hold metadata."""
    found = []
    for path in sys.path:
        try:
            modified = os.stat(path or ".").st_mtime_ns  # noqa: PTH116 - called for each freeze, a Path is slow
        except OSError:
            continue
        if _holds_metadata(path or ".", modified):
            found.append((path, modified))
    return tuple(found)


@lru_cache(maxsize=1024)
def _holds_metadata(path: str, modified: int) -> bool:  # noqa: ARG001 - it is part of the key of the cache
    try:
        return any(name.endswith((".dist-info", ".egg-info")) for name in os.listdir(path))  # noqa: PTH208 - as above
    except OSError:
        return False
