"""Which files of a tree its modules may read, beside the modules that they import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from hotswap.closure._data import is_source, named_files, named_sources
from hotswap.closure._facts import Facts, Reading
from hotswap.closure._tree import Modules

_METADATA = (".dist-info/", ".egg-info/")
_PRESENT = ""


class Readings:
    """What the modules of one tree read; ``files`` has the digest of each file by its path."""

    def __init__(self, modules: Modules, files: Mapping[str, str]) -> None:
        self._modules = modules
        self._files = files
        self._sources = [path for path in files if is_source(path)]
        self._data = {path: known for path, known in files.items() if not is_source(path)}

    def of(self, names: Iterable[str], strings: Iterable[str] = (), *, everything: bool = False) -> dict[str, str]:
        """The digests of the files that these modules, with some more strings, may read by their paths.

        The digest is empty for a file that counts by its name only.
        """
        facts = {name: self._modules.facts(name) for name in names}
        reads = frozenset[Reading]().union(*(each.reads for each in facts.values()))
        texts = frozenset(strings).union(*(each.strings for each in facts.values()))
        guessed = self._guessed(reads, facts)
        if guessed and "file" in reads:
            reads |= {"sources"}
        found = set(self._natives(facts)) | self._own(facts) | self._read_sources(reads, texts)
        if everything or guessed or "data" in reads:
            found.update(self._data)
        else:
            found |= named_files(texts, self._data)
        if "metadata" in reads:
            found |= {path for path in self._data if any(part in path for part in _METADATA)}
        present = dict.fromkeys(self._files if "names" in reads else (), _PRESENT)
        return present | {path: self._files[path] for path in found}

    def _natives(self, facts: Iterable[str]) -> Iterator[str]:
        return (self._modules.natives[name] for name in facts if name in self._modules.natives)

    def _own(self, facts: Mapping[str, Facts]) -> set[str]:
        return {self._modules.paths[name] for name, each in facts.items() if "own" in each.reads}

    def _read_sources(self, reads: frozenset[Reading], texts: frozenset[str]) -> set[str]:
        if "location" not in reads:
            return set()
        if reads & {"sources", "listing"}:
            return set(self._sources)
        return named_sources(texts, self._sources, patterns="patterns" in reads, folders="folders" in reads)

    def _guessed(self, reads: frozenset[Reading], facts: Iterable[str]) -> bool:
        """True when paths in the package are made in ways that cannot be followed."""
        return "location" in reads and ("climbs" in reads or not self._escaping.isdisjoint(facts))

    @cached_property
    def _escaping(self) -> frozenset[str]:
        """Modules that do with the places of others what does not settle."""
        places = {(name, place) for name in self._modules.paths for place in self._modules.facts(name).places}
        escaping: set[str] = set()
        known = -1
        while known != len(places):
            known = len(places)
            for name in self._modules.paths:
                for names in self._uses(name, places):
                    if names is None:
                        escaping.add(name)
                    else:
                        places.update((name, each) for each in names)
        return frozenset(escaping)

    def _uses(self, module: str, places: set[tuple[str, str]]) -> Iterator[frozenset[str] | None]:
        """For each use of a place of another module, the names that it is bound to, or None if it does not settle."""
        facts = self._modules.facts(module)
        homes = {name for name, _ in places}
        for dotted in facts.chains:
            found = self._modules.lookup(module, dotted)
            whole = not found.members and not found.modules.isdisjoint(homes)
            if whole or any((member.module, member.name) in places for member in found.members):
                yield facts.settled.get(dotted)
        for entry in facts.imports:
            if entry.name == "*" and not self._modules.target(module, entry).modules.isdisjoint(homes):
                yield None
