"""Which modules keep objects with a state of their own, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hotswap.closure._facts import Definition, Held, Variable
from hotswap.closure._known import CHANGING_METHODS, plain, plain_base
from hotswap.closure._tree import Found, Member, Modules

_CALLED_METHODS = frozenset({"get", "copy", "items", "keys", "values"})


@dataclass(frozen=True)
class Shared:
    """The modules that keep objects, and the functions that run when these are used, as those of generators do."""

    modules: frozenset[str] = frozenset()
    runs: frozenset[tuple[str, str]] = frozenset()


@dataclass
class Sharing:
    """Answers for one tree; they are kept."""

    modules: Modules
    _makes: dict[tuple[str, str], bool] = field(default_factory=dict)

    def of(self, module: str, names: Iterable[str]) -> Shared:
        """The objects with a state that these names of a module may lead to."""
        found, runs = set[str](), set[tuple[str, str]]()
        seen = set[tuple[str, str, bool]]()
        waiting = [(module, name, False) for name in names]
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            target = self.modules.lookup(*place[:2])
            for member in target.members:
                held, inside = self._held(member), place[2] or bool(member.rest)
                if self._keeps(member, inside=inside):
                    found.add(member.module)
                    runs |= self._generators(member, held)
                waiting += [(member.module, name, inside) for name in held.names | held.made]
            waiting += self._all_of(target)
        return Shared(frozenset(found), frozenset(runs))

    def handed(self, module: str, names: Iterable[str]) -> set[tuple[str, str]]:
        """The functions and classes that whoever is given these names may call."""
        members = self._given(module, names)
        return {(member.module, member.name) for member in members if self.modules.definition(member)}

    def bound(self, module: str, names: Iterable[str]) -> frozenset[str]:
        """The modules of objects that change when somebody calls their methods, which are among these names."""
        members = self._given(module, names)
        return frozenset(member.module for member in members if not CHANGING_METHODS.isdisjoint(member.rest[-1:]))

    def _given(self, module: str, names: Iterable[str]) -> set[Member]:
        """What these names, and the variables among them, stand for."""
        found = set[Member]()
        seen = set[tuple[str, str]]()
        waiting = [(module, name) for name in names]
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            for member in self.modules.lookup(*place).members:
                found.add(member)
                variable = self._variable(member)
                if variable:
                    waiting += [(member.module, name) for name in variable.held.names | variable.held.made]
        return found

    def _all_of(self, target: Found) -> Iterator[tuple[str, str, bool]]:
        """A module that is handed over as an object leads to all it has."""
        if not target.members and not target.external:
            for module in target.modules:
                yield from ((module, name, False) for name in self.modules.facts(module).variables)

    def _held(self, member: Member) -> Held:
        part = self._variable(member) or self.modules.definition(member)
        return part.held if part else Held()

    def _variable(self, member: Member) -> Variable | None:
        return self.modules.facts(member.module).variables.get(member.name)

    def _keeps(self, member: Member, *, inside: bool) -> bool:
        """True for a variable, or something ``inside`` of a class, that may be, or hold, an object with a state."""
        variable = self._variable(member)
        if variable and self._stateful(member.module, variable.held):
            return True
        definition = self.modules.definition(member)
        if definition is None or not (definition.cached or inside):
            return False
        return self._stateful(member.module, definition.held)

    def _stateful(self, module: str, held: Held) -> bool:
        return held.state or any(self._made(module, called) for called in held.made)

    def _made(self, module: str, called: str) -> bool:
        """True when a call may return a new object with a state."""
        key = (module, called)
        if key not in self._makes:
            self._makes[key] = False
            found = self.modules.lookup(module, called)
            foreign = any(not plain(name) for name in found.external)
            unknown = not found.external and not found.members
            self._makes[key] = foreign or unknown or any(map(self._returns, found.members))
        return self._makes[key]

    def _returns(self, member: Member) -> bool:
        variable, definition = self._variable(member), self.modules.definition(member)
        if variable and self._stateful(member.module, variable.held):
            return True
        if variable and member.rest and member.rest[-1] not in _CALLED_METHODS:
            return True
        return definition is not None and self._of_definition(member.module, definition)

    def _of_definition(self, module: str, definition: Definition) -> bool:
        if self._stateful(module, definition.held):
            return True
        bases = [self.modules.lookup(module, base) for base in definition.bases]
        foreign = any(not plain_base(name) for base in bases for name in base.external)
        return foreign or any(self._returns(member) for base in bases for member in base.members if self._new(member))

    def _new(self, member: Member) -> bool:
        """False for a base that is being looked at, as in code that goes in circles."""
        key = (member.module, f"class {member.name}")
        if key in self._makes:
            return self._makes[key]
        self._makes[key] = False
        self._makes[key] = self._returns(member)
        return self._makes[key]

    def _generators(self, member: Member, held: Held) -> set[tuple[str, str]]:
        places = (self.modules.lookup(member.module, called) for called in held.made)
        members = (found for place in places for found in place.members)
        return {(found.module, found.name) for found in members if self.modules.definition(found)}
