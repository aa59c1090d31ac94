"""Which modules a module uses, directly and in the end."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from hotswap.closure._facts import Facts, Import
from hotswap.closure._tree import Doubt, Found, Modules, ancestors

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+(:\w+(\.\w+)*)?")


@dataclass(frozen=True)
class Uses:
    """What one module, or several with all they use, depend on."""

    modules: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    external: frozenset[str] = frozenset()
    doubts: frozenset[Doubt] = frozenset()


@dataclass
class Graph:
    """Dependence between the modules of one tree; answers are kept."""

    modules: Modules
    _uses: dict[str, Uses] = field(default_factory=dict)
    _reach: dict[str, frozenset[str]] = field(default_factory=dict)
    _imported: dict[tuple[str, bool], list[str]] = field(default_factory=dict)

    def uses(self, module: str) -> Uses:
        """What the whole text of one module uses, names resolved through the packages that pass them on."""
        if module not in self._uses:
            self._uses[module] = self._read(module)
        return self._uses[module]

    def reach(self, module: str) -> frozenset[str]:
        """A module and all it uses in the end."""
        if module not in self._reach:
            self._reach[module] = self.closure([module]).modules
        return self._reach[module]

    def closure(self, start: Iterable[str]) -> Uses:
        """Everything these modules use in the end, themselves included."""
        seen: set[str] = set()
        waiting = list(start)
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting.extend(self.uses(module).modules)
        return _union(seen, [self.uses(module) for module in seen])

    def imported(self, start: Iterable[str], *, eager: bool = False) -> frozenset[str]:
        """All modules that importing these runs, ancestors included; only at import time when ``eager``."""
        seen: set[str] = set()
        waiting = list(start)
        while waiting:
            module = waiting.pop()
            if module not in seen and module in self.modules:
                seen.add(module)
                waiting.extend(ancestors(module))
                waiting.extend(self._imports(module, eager=eager))
        return frozenset(seen)

    def direct_imports(self, module: str) -> list[str]:
        """Modules that this one imports itself, lazily too."""
        return self._imports(module, eager=False)

    def order(self) -> list[str]:
        """All modules in the order in which importing the tree finishes them."""
        done: dict[str, None] = {}
        visiting: set[str] = set()
        for module in sorted(self.modules.paths):
            self._finish(module, done, visiting)
        return list(done)

    def _finish(self, start: str, done: dict[str, None], visiting: set[str]) -> None:
        stack = [(start, iter(self._before(start)))]
        visiting.add(start)
        while stack:
            module, pending = stack[-1]
            following = next((name for name in pending if name not in visiting), None)
            if following is None:
                done[module] = None
                stack.pop()
            else:
                visiting.add(following)
                stack.append((following, iter(self._before(following))))

    def _before(self, module: str) -> list[str]:
        return [*ancestors(module), *self._imports(module, eager=True)]

    def _imports(self, module: str, *, eager: bool) -> list[str]:
        key = (module, eager)
        if key not in self._imported:
            self._imported[key] = list(dict.fromkeys(self._each_import(module, eager=eager)))
        return self._imported[key]

    def _each_import(self, module: str, *, eager: bool) -> Iterator[str]:
        facts = self.modules.facts(module)
        for entry in facts.imports:
            if entry.eager or not eager:
                base = self.modules.base(module, entry)
                below = f"{base}.{entry.name}"
                yield from (name for name in (base, below) if name in self.modules)
        if not eager:
            yield from self._named_in_text(module).modules

    def _read(self, module: str) -> Uses:
        facts = self.modules.facts(module)
        chains = defaultdict[str, list[str]](list)
        for dotted in facts.chains:
            chains[dotted.partition(".")[0]].append(dotted)
        parts = [self._entry(module, entry, chains[entry.bound]) for entry in facts.imports]
        parts.append(_as_uses(self._named_in_text(module)))
        found = _union([], parts)
        doubts = {
            Doubt(f"{module} imports {name}, and the package changes sys.path", deep=True)
            for name in self._short_names & {outside.partition(".")[0] for outside in self._outside(module)}
        }
        return replace(found, doubts=found.doubts | doubts)

    def _outside(self, module: str) -> Iterator[str]:
        return (entry.module for entry in self.modules.facts(module).imports if entry.level == 0)

    @cached_property
    def _short_names(self) -> frozenset[str]:
        """What modules could be called if their folders were on ``sys.path``; none unless something changes that."""
        if not any(_changes_search(self.modules.facts(name)) for name in self.modules.paths):
            return frozenset()
        return frozenset(name.rpartition(".")[2] for name in self.modules.paths if "." in name)

    def _entry(self, module: str, entry: Import, chains: list[str]) -> Uses:
        target = self.modules.target(module, entry)
        if not target.packages:
            doubts = {Doubt(f"{module} imports * from {name}") for name in target.modules if entry.name == "*"}
            return _union([], [_as_uses(target), Uses(doubts=frozenset(doubts))])
        if entry.name == "*":
            return _doubtful(target, f"{module} imports * from a package")
        if entry.bound == "":
            return Uses()
        used = [self.modules.lookup(module, dotted) for dotted in chains]
        implied = entry.name == "" and entry.bound == entry.module
        if entry.bound == "?" or any(found.packages for found in used):
            return _doubtful(target, f"{module} uses a package as an object", deep=True)
        if not (used or implied):
            return _doubtful(target, f"{module} passes a package on as an object")
        return _union([], [_as_uses(target), *map(_as_uses, used)])

    def _named_in_text(self, module: str) -> Found:
        """Modules named by dotted strings, as configuration and mocks do."""
        found = Found()
        strings = self.modules.facts(module).strings
        for text in strings:
            if text.endswith(".py"):
                ends = (name for name, path in self.modules.paths.items() if f"/{path}".endswith(f"/{text}"))
                found.modules.update(ends)
            elif _DOTTED.fullmatch(text) and text.partition(".")[0] in self.modules:
                name = text.partition(":")[0]
                while name and name not in self.modules.paths:
                    name = name.rpartition(".")[0]
                if name and not self.modules.is_package(name):
                    found.modules.add(name)
        if "-m" in strings:
            found.modules.update(self._run_by_name(strings))
        if "-c" in strings and self._starts_python(module):
            found.doubts.add(Doubt(f"{module} runs text in a Python of its own", deep=True))
        return found

    def _run_by_name(self, strings: frozenset[str]) -> Iterator[str]:
        """Modules that ``python -m`` may run, from whatever folder."""
        for name in self.modules.paths:
            run = name.removesuffix(".__main__")
            if any(f".{run}".endswith(f".{text}") for text in strings):
                yield name

    def _starts_python(self, module: str) -> bool:
        facts = self.modules.facts(module)
        return "sys.executable" in facts.chains or any("python" in text for text in facts.strings)


def libraries(external: Iterable[str]) -> frozenset[str]:
    """Top-level names of modules that are neither in the tree nor in the standard library."""
    return frozenset(name.partition(".")[0] for name in external) - sys.stdlib_module_names - {""}


def _changes_search(facts: Facts) -> bool:
    """True for a module that may change where modules are searched."""
    searched = any(f"{dotted}.".startswith(("sys.path.", "site.")) for dotted in facts.chains)
    script = any(
        text.endswith(".py") or text == "-m" for text in facts.strings
    )  # Python searches its folder when it runs it
    changing = {"sys.path", "site.addsitedir", *(["subprocess"] if script else [])}
    return searched or any(entry.dotted in changing or entry.module in changing for entry in facts.imports)


def _doubtful(target: Found, text: str, *, deep: bool = False) -> Uses:
    return _union([], [_as_uses(target), Uses(doubts=frozenset({Doubt(text, deep)}))])


def _as_uses(found: Found) -> Uses:
    return Uses(frozenset(found.modules), frozenset(found.links), libraries(found.external), frozenset(found.doubts))


def _union(modules: Iterable[str], parts: list[Uses]) -> Uses:
    return Uses(
        frozenset(modules).union(*(part.modules for part in parts)),
        frozenset[str]().union(*(part.links for part in parts)),
        frozenset[str]().union(*(part.external for part in parts)),
        frozenset[Doubt]().union(*(part.doubts for part in parts)),
    )
