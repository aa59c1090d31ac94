"""Choosing how closely to look at the code behind a class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hotswap.closure._facts import Effect
from hotswap.closure._graph import Graph, Uses
from hotswap.closure._touch import Touch, Touches
from hotswap.closure._tree import Doubt, Member, ancestors

Scheme = Literal["reachable", "imports", "package"]


@dataclass(frozen=True)
class Plan:
    """What a verdict is made of before it is hashed."""

    scheme: Scheme
    why: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    external: frozenset[str] = frozenset()
    statements: tuple[tuple[str, str], ...] = ()
    strings: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()


class Planner:
    """Plans for the classes of one tree: the closest look that misses nothing."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._modules = graph.modules
        self._touches = Touches(graph)

    def plan(self, start: frozenset[str], names: Iterable[str]) -> Plan:
        """The plan for ``module:Class`` names that all lie in the tree, in the modules ``start``."""
        own = self._graph.closure(start).modules
        uses = self._graph.closure(start | self._worldly_modules)
        doubts = {*uses.doubts, *self._undefined(names), *self._undecided(uses.modules)}
        doubts |= {*self._changed_from_outside(own), *self._changed_from_outside(uses.modules)}
        doubts |= {*self._busy_ancestors(own), *self._raced(uses)}
        if not doubts:
            return self._made("reachable", doubts, uses)
        if any(doubt.deep for doubt in doubts):
            return self._made("package", doubts, Uses(self._every))
        wide = self._graph.imported(start | self._worldly_modules) | uses.modules
        doubts |= set(self._undecided(wide)) | set(self._changed_beyond(start, wide))
        if any(doubt.deep for doubt in doubts):
            return self._made("package", doubts, Uses(self._every))
        return self._made("imports", doubts, Uses(wide))

    def _made(self, scheme: Scheme, doubts: Iterable[Doubt], uses: Uses) -> Plan:
        external = uses.external.union(*(self._graph.uses(module).external for module in uses.modules))
        beyond = [(name, effect) for name, effect in self._world if name not in uses.modules]
        return Plan(
            scheme,
            tuple(sorted({doubt.text for doubt in doubts})),
            uses.modules,
            uses.links,
            external,
            tuple((name, effect.statement) for name, effect in beyond),
            frozenset[str]().union(*(effect.strings for _, effect in beyond)),
            self._order_of(uses.modules),
        )

    def _undefined(self, names: Iterable[str]) -> Iterator[Doubt]:
        for name in names:
            module, _, qualified = name.partition(":")
            if self._modules.definition(Member(module, qualified.partition(".")[0])) is None:
                yield Doubt(f"{module} has no class statement for {qualified}", deep=True)
            elif self._modules.is_package(module):
                yield Doubt(f"{qualified} is defined in the __init__ of {module}")

    def _undecided(self, modules: Iterable[str]) -> Iterator[Doubt]:
        for name in modules:
            facts = self._modules.facts(name)
            if not facts.parsed:
                yield Doubt(f"{name} cannot be parsed", deep=True)
            if facts.dynamic:
                yield Doubt(f"{name} reaches code by other ways than its name: {facts.dynamic[0]}", deep=True)

    def _changed_from_outside(self, modules: frozenset[str]) -> Iterator[Doubt]:
        for name, touch in self._active.items():
            if name in modules:
                continue
            if touch.everything:
                yield Doubt(f"importing {name} may change anything", deep=True)
            changed = touch.modules & modules
            if changed:
                yield Doubt(f"importing {name} may change {min(changed)}")

    def _changed_beyond(self, start: frozenset[str], modules: frozenset[str]) -> Iterator[Doubt]:
        """Changes by modules that importing the class does not surely import."""
        surely = self._graph.imported(start, eager=True)
        for doubt in self._changed_from_outside(surely):
            yield Doubt(doubt.text, deep=True)
        for name, touch in self._active.items():
            if name not in surely and touch.modules & modules:
                yield Doubt(f"importing {name} may change what the class imports", deep=True)

    def _busy_ancestors(self, modules: frozenset[str]) -> Iterator[Doubt]:
        for name in {above for module in modules for above in ancestors(module)} - modules:
            if name in self._active:
                yield Doubt(f"the __init__ of {name} does more than import and register")

    def _raced(self, uses: Uses) -> Iterator[Doubt]:
        """A package copies a value when it imports it: before or after another module changes it."""
        for name in uses.modules & self._active.keys():
            if uses.links and self._active[name].modules & uses.modules:
                yield Doubt(f"importing {name} may change what a package passes on")

    @cached_property
    def _every(self) -> frozenset[str]:
        return frozenset(self._modules.paths)

    @cached_property
    def _active(self) -> dict[str, Touch]:
        """Modules whose import may change something besides their own objects."""
        every = ((name, self._touches.of(name)) for name in self._modules.paths)
        return {name: touch for name, touch in every if touch.dirty or touch.everything}

    @cached_property
    def _world(self) -> list[tuple[str, Effect]]:
        found = [(name, effect) for name, touch in self._active.items() for effect in touch.world]
        return sorted(found, key=lambda pair: (pair[0], pair[1].line, pair[1].statement))

    @cached_property
    def _worldly_modules(self) -> frozenset[str]:
        """Modules that change something outside the tree with the help of names of the tree."""
        return frozenset(name for name, effect in self._world if not self._only_libraries(name, effect))

    def _only_libraries(self, module: str, effect: Effect) -> bool:
        facts = self._modules.facts(module)
        names = {dotted.partition(".")[0] for dotted in effect.context}
        if any(name in facts.definitions or name in facts.variables for name in names):
            return False
        targets = (self._modules.lookup(module, dotted) for dotted in effect.context)
        return all(found.external and not found.modules and not found.packages for found in targets)

    @cached_property
    def _order(self) -> list[str]:
        return self._graph.order()

    def _order_of(self, modules: frozenset[str]) -> tuple[str, ...]:
        """The order in which these modules are imported, when one of them changes something outside itself."""
        acting = {name for name, touch in self._active.items() if name in modules and touch.modules & modules}
        acting |= {name for name, _ in self._world}
        return tuple(name for name in self._order if name in acting | modules) if acting else ()
