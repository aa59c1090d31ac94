"""Verdicts on the classes of one frozen tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hotswap.closure._evidence import Evidence
from hotswap.closure._facts import Detail, Facts
from hotswap.closure._graph import Graph, libraries
from hotswap.closure._memo import facts_of
from hotswap.closure._naming import exists
from hotswap.closure._plan import Plan, Planner, Scheme
from hotswap.closure._reading import Readings
from hotswap.closure._tree import Member, Modules, covering

if TYPE_CHECKING:
    from hotswap.store import Store


@dataclass(frozen=True)
class Verdict:
    """What decides how a class behaves, as far as its source tells.

    ``digest`` (blake3, hex) changes whenever that may behave differently. ``scheme`` says how closely it looks:
    ``reachable`` are the modules and data files the class uses, ``imports`` everything that importing it imports,
    ``package`` the whole tree; ``why`` gives the reasons for not looking more closely. ``files`` are the paths
    covered, ``imports`` the top-level names of the libraries they use.
    """

    digest: str
    scheme: Scheme
    why: tuple[str, ...]
    files: tuple[str, ...]
    imports: tuple[str, ...]


class Closure:
    """What code the classes of one frozen tree depend on, told without running it.

    ``files`` maps each path below ``tree`` (``my_lab/devices/furnace.py``) to the blake3 of its content, hex.
    ``registration`` holds full names of functions that only record what they are given (``lab.add_device``): calls
    of these say nothing about a class, and their arguments must be hashed by the caller. Modules are remembered by
    content across instances, also in the folder ``cache`` when one is given. Not for several threads at once.
    """

    def __init__(
        self,
        tree: Path,
        files: Mapping[str, str],
        *,
        registration: frozenset[str] = frozenset(),
        cache: Path | None = None,
    ) -> None:
        self.registration = registration
        self._tree = tree
        self.files = dict(files)
        self._cache = cache
        self.modules = Modules(files, self._load)
        self.graph = Graph(self.modules)
        self._planner = Planner(self.graph)
        self._readings = Readings(self.modules, self.files)

    @classmethod
    def of(
        cls,
        store: Store,
        snapshot: str,
        *,
        registration: frozenset[str] = frozenset(),
        cache: Path | None = None,
    ) -> Closure:
        """The closure of a snapshot of a store, by its id or a prefix; raises what ``store.open`` raises."""
        found = store.open(snapshot)
        files = {entry.path: entry.digest for entry in found.files}
        return cls(store.tree(found.id), files, registration=registration, cache=cache)

    def verdict(self, class_name: str, roots: Iterable[str] = ()) -> Verdict:
        """The verdict on ``module:Class``; ``roots`` are the classes of objects that will be given to it.

        A class from outside the tree depends on its library only.
        """
        evidence = self.evidence(class_name, roots)
        outside = libraries(name.partition(":")[0] for name in evidence.names if not self._inside(name))
        return Verdict(
            digest=evidence.digest(),
            scheme=evidence.plan.scheme,
            why=evidence.plan.why,
            files=tuple(sorted({*covering(self.modules.paths, evidence.plan.modules), *evidence.data})),
            imports=tuple(sorted(outside | evidence.plan.external)),
        )

    def evidence(self, class_name: str, roots: Iterable[str] = ()) -> Evidence:
        """What the digest of ``verdict`` is made of."""
        names = sorted({class_name, *roots})
        inside = [name for name in names if self._inside(name)]
        start = frozenset(name.partition(":")[0] for name in inside)
        plan = self._planner.plan(start, inside) if inside else Plan("reachable")
        facts = {name: self.modules.facts(name) for name in plan.modules if name in self.modules.paths}
        detail = max((each.detail for each in facts.values()), default=Detail.CODE)
        return Evidence(
            (class_name, *names),
            plan,
            detail,
            {name: each.digests[max(detail, self.own_detail(name))] for name, each in facts.items()},
            self._readings.of(plan.modules, plan.strings, everything=plan.scheme == "package"),
        )

    def resolve(self, class_name: str) -> str:
        """``module:Class`` where the class is defined, for one that a module or package only passes on."""
        module, _, qualified = class_name.partition(":")
        if not self.has(class_name) or self.modules.definition(Member(module, qualified.partition(".")[0])):
            return class_name
        found = self.modules.lookup(module, qualified)
        ends = {f"{member.module}:{'.'.join((member.name, *member.rest))}" for member in found.members}
        ends |= {":".join(external.rsplit(".", 1)) for external in found.external}
        return ends.pop() if len(ends) == 1 else class_name

    def has(self, class_name: str) -> bool:
        """Whether the tree has ``module:Class``, or ``module:Class.Inner``, as far as its source tells."""
        return exists(self.modules, self.read, class_name)

    def belongs(self, class_name: str) -> bool:
        """Whether the tree has the top-level package of the class, whatever it has in there."""
        return class_name.partition(":")[0].partition(".")[0] in self.modules

    def read(self, path: str) -> bytes:
        """The content of a file of the tree."""
        return (self._tree / path).read_bytes()

    def names_data(self, module: str, path: str) -> bool:
        """Whether the module may read this file."""
        return path in self._readings.of([module])

    def own_detail(self, module: str) -> Detail:
        """How much of the text of a module counts in any company: docstrings, where it makes models of its classes."""
        return Detail.DOCSTRINGS if module in self._with_models else Detail.CODE

    @cached_property
    def _with_models(self) -> frozenset[str]:
        """Modules with classes that a library may describe by their docstrings, directly or by way of their bases."""
        homes = {name: self._homes_of_bases(name) for name in self.modules.paths}
        found = {name for name in homes if self.modules.facts(name).models}
        while added := {name for name, bases in homes.items() if name not in found and bases & found}:
            found |= added
        return frozenset(found)

    def _homes_of_bases(self, module: str) -> set[str]:
        facts = self.modules.facts(module)
        targets = [self.modules.lookup(module, base) for base in facts.bases]
        stars = [self.modules.target(module, entry).modules for entry in facts.imports if entry.name == "*"]
        return {member.module for found in targets for member in found.members}.union(*stars)

    def _inside(self, name: str) -> bool:
        return name.partition(":")[0] in self.modules

    def _load(self, path: str) -> Facts:
        return facts_of(self.files[path], (self._tree / path).read_bytes, self.registration, self._cache)
