"""The shortest way from a class to something that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hotswap.closure._evidence import Evidence
from hotswap.closure._facts import Import
from hotswap.closure._graph import Graph
from hotswap.closure._tree import Member, ancestors


@dataclass(frozen=True)
class Step:
    """One step of a way: to a module or data file, and ``how`` the one before leads there."""

    to: str
    how: str


class Routes:
    """Ways from the classes of some evidence."""

    def __init__(self, graph: Graph, evidence: Evidence, names_data: Callable[[str, str], bool]) -> None:
        self._graph = graph
        self._evidence = evidence
        self._names_data = names_data
        self._before: dict[str, str] = {}
        self._order: list[str] = []
        self._walk()

    def to_module(self, module: str) -> tuple[Step, ...]:
        """The way to a module; one step for a module that only counts because everything does."""
        if module not in self._order:
            return (Step(module, self._elsewhere(module)),)
        steps: list[Step] = []
        while module in self._before:
            origin = self._before[module]
            steps.append(Step(module, self._how(origin, module)))
            module = origin
        return tuple(reversed(steps))

    def to_data(self, path: str) -> tuple[Step, ...]:
        """The way to a data file, through the nearest module that may read it."""
        for module in self._order:
            if self._names_data(module, path):
                return (*self.to_module(module), Step(path, "data file"))
        return (Step(path, self._elsewhere(path)),)

    def _walk(self) -> None:
        """Breadth first, so that the first way found is a shortest one."""
        start = dict.fromkeys(name.partition(":")[0] for name in self._evidence.names)
        self._order = [module for module in start if module in self._evidence.plan.modules]
        seen = set(self._order)
        for module in self._order:
            for following in self._following(module):
                if following not in seen and following in self._evidence.plan.modules:
                    seen.add(following)
                    self._before[following] = module
                    self._order.append(following)

    def _following(self, module: str) -> Iterable[str]:
        yield from sorted(self._graph.uses(module).modules)
        if self._evidence.plan.scheme != "reachable":
            yield from sorted(self._graph.direct_imports(module))
            yield from reversed(ancestors(module))

    def _how(self, origin: str, module: str) -> str:
        if module in self._bases_of(origin):
            return "base class"
        entries = [entry for entry in self._graph.modules.facts(origin).imports if module in self._led(origin, entry)]
        if entries:
            return "import" if any(entry.eager for entry in entries) else "lazy import"
        return "package" if module in ancestors(origin) else "named in its text"

    def _bases_of(self, module: str) -> set[str]:
        modules = self._graph.modules
        definitions = modules.facts(module).definitions.values()
        found = (modules.lookup(module, base) for each in definitions for base in each.bases)
        return {member.module for each in found for member in each.members if isinstance(member, Member)}

    def _led(self, module: str, entry: Import) -> Iterator[str]:
        yield from self._graph.modules.target(module, entry).modules
        base = self._graph.modules.base(module, entry)
        yield from (base, f"{base}.{entry.name}")

    def _elsewhere(self, name: str) -> str:
        if self._evidence.plan.scheme == "package":
            return "everything in the package counts"
        return f"importing {name} changes something outside the package"
