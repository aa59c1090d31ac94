"""The distributions that are installed now: what provides a module, what requires what, and which ones are local."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import importlib_metadata as metadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hotswap import _local

RUNTIME: Final = "hotswap-lab"
"""The distribution that this module is part of."""

_TELLING = (".dist-info", ".egg-info", ".egg-link", ".pth")

_Stamp = tuple[str, int, int, int]


class Known(NamedTuple):
    """A distribution: canonical name, version, and where it comes from if the version does not tell its content."""

    name: str
    version: str
    digest: str | None


class Installed:
    """What was installed when it was made; the content of local distributions is looked at when it is asked for."""

    def __init__(self) -> None:
        metadata.MetadataPathFinder.invalidate_caches()
        self._distributions: dict[str, metadata.IDistribution] = {}
        self._versions: dict[str, tuple[str, str | None]] = {}
        self._folders: dict[str, _local.Folders] = {}
        self._providers: defaultdict[str, set[str]] = defaultdict(set)
        self._closures: dict[frozenset[str], tuple[str, ...]] = {}
        for distribution in metadata.distributions():
            self._add(distribution)
        for module, names in metadata.packages_distributions().items():
            self._providers[module].update(canonicalize_name(name) for name in names if name)

    def _add(self, distribution: metadata.IDistribution) -> None:
        name = canonicalize_name(distribution.metadata["Name"] or "")
        if not name or name in self._distributions:
            return
        self._distributions[name] = distribution
        if folders := _local.folders(distribution):
            self._folders[name] = folders
            for module in folders.modules():
                self._providers[module].add(name)

    def provides(self, module: str) -> bool:
        """Whether a distribution that is not local provides this top-level module."""
        return not self._providers.get(module, set()) <= self._folders.keys()

    def closure(self, modules: frozenset[str]) -> tuple[str, ...]:
        """Names of the distributions that provide the modules, and of what those require."""
        if modules not in self._closures:
            self._closures[modules] = self._follow(modules)
        return self._closures[modules]

    def local(self, modules: frozenset[str]) -> Iterator[_local.Folders]:
        """The local ones among ``closure``."""
        return (self._folders[name] for name in self.closure(modules) if name in self._folders)

    def describe(self, name: str, frozen: frozenset[str]) -> Known:
        """The distribution as it is now; one that provides a ``frozen`` module counts without its content."""
        version, revision = self._version(name)
        folders = self._folders.get(name)
        if folders is None:
            return Known(name, version, revision)
        if not frozen.isdisjoint(folders.modules()):
            return Known(name, version, None)
        return Known(name, version, _digest_of_runtime(folders) if name == RUNTIME else folders.digest())

    def _version(self, name: str) -> tuple[str, str | None]:
        """Version and revision."""
        if name not in self._versions:  # reading it parses the whole metadata file
            distribution = self._distributions[name]
            self._versions[name] = distribution.version or "unknown", _local.revision(distribution)
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


def installed() -> Installed:
    """What is installed now; kept for as long as nothing is installed, removed or upgraded."""
    return _made(tuple(_signature()))


def is_target(path: str) -> bool:
    """Whether installers put distributions into a folder; where somebody develops one there is ``.egg-info`` only."""
    return any(name.endswith(".dist-info") for name in _names(path))


@lru_cache(maxsize=1)
def _digest_of_runtime(runtime: _local.Folders) -> str:
    """As this process met it, which runs that whatever is edited meanwhile: hundreds of files, often asked for."""
    return runtime.digest()


@lru_cache(maxsize=4)
def _made(signature: tuple[_Stamp, ...]) -> Installed:  # noqa: ARG001 - it is the key of the cache
    return Installed()


def _signature() -> Iterator[_Stamp]:
    """Changes whenever something is installed, removed, or upgraded in place."""
    for path in _search_path():
        for name in _names(path):
            if name.endswith(_TELLING):
                yield from _stamps(f"{path}/{name}")


def _search_path() -> Iterable[str]:
    return dict.fromkeys(path or "." for path in sys.path)


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))  # noqa: PTH208 - called for each freeze, a Path is slow
    except OSError:
        return []


def _stamps(entry: str) -> Iterator[_Stamp]:
    for path in (entry, f"{entry}/METADATA", f"{entry}/PKG-INFO", f"{entry}/direct_url.json"):
        try:
            found = os.stat(path)  # noqa: PTH116 - as above
        except OSError:
            continue
        yield path, found.st_mtime_ns, found.st_size, found.st_ino


def _parse(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
