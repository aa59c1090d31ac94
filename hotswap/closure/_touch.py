"""What the import of a module may change outside of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hotswap.closure._facts import Effect, Variable
from hotswap.closure._graph import Graph
from hotswap.closure._known import pure
from hotswap.closure._tree import Found, Member


@dataclass(frozen=True)
class Touch:
    """``modules`` may be changed, or ``everything``; ``world`` holds effects that reach beyond the tree."""

    modules: frozenset[str] = frozenset()
    world: frozenset[Effect] = frozenset()
    everything: bool = False
    dirty: bool = False

    def __or__(self, other: Touch) -> Touch:
        return Touch(
            self.modules | other.modules,
            self.world | other.world,
            self.everything or other.everything,
            self.dirty or other.dirty,
        )


NOTHING = Touch()


def union(touches: Iterable[Touch]) -> Touch:
    result = NOTHING
    for touch in touches:
        result |= touch
    return result


@dataclass(frozen=True)
class _Body:
    """What the body of a definition changes itself, the names it passes to calls, and the definitions it calls."""

    module: str
    touch: Touch
    passed: frozenset[str]
    calls: frozenset[tuple[str, str]]


@dataclass
class Touches:
    """Judges effects with the definitions of the whole tree at hand; answers are kept."""

    graph: Graph
    _of_modules: dict[str, Touch] = field(default_factory=dict)
    _of_members: dict[tuple[str, str], Touch] = field(default_factory=dict)
    _bodies: dict[tuple[str, str], _Body] = field(default_factory=dict)
    _beyond: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def of(self, module: str) -> Touch:
        """What importing a module may change, its own objects left out."""
        if module not in self._of_modules:
            effects = self.graph.modules.facts(module).effects
            whole = union(self._effect(module, effect) for effect in effects)
            others = whole.modules - {module}
            self._of_modules[module] = Touch(others, whole.world, whole.everything, whole.dirty)
        return self._of_modules[module]

    def _effect(self, module: str, effect: Effect) -> Touch:
        if effect.kind == "dynamic":
            return Touch(everything=True, dirty=True)
        if effect.kind == "store":
            return self._store(module, effect)
        callee = self.graph.modules.lookup(module, effect.callee) if effect.callee else Found()
        if effect.kind == "subclass":
            return self._subclass(module, effect, callee)
        return self._call(module, effect, callee)

    def _store(self, module: str, effect: Effect) -> Touch:
        found = self.graph.modules.lookup(module, effect.callee) if effect.callee else Found()
        world = frozenset({effect}) if self._reaches_world(module, effect.names) else frozenset[Effect]()
        direct = found.members and not any(member.rest for member in found.members)
        if direct and not self._variables_among(found):
            return Touch(frozenset(member.module for member in found.members), world, dirty=True)
        return Touch(self._deep(module, effect.names) | found.modules, world, dirty=True)

    def _variables_among(self, found: Found) -> bool:
        return any(self._variable_of(member) for member in found.members)

    def _subclass(self, module: str, effect: Effect, base: Found) -> Touch:
        if effect.callee and not any(self._hooked(member, set()) for member in base.members):
            return NOTHING
        return Touch(self._deep(module, effect.names), dirty=True)

    def _hooked(self, member: Member, seen: set[Member]) -> bool:
        """True when subclassing runs code of the tree; a base that is no plain class may."""
        definition = self.graph.modules.definition(member)
        if definition is None or definition.hooks or member.rest:
            return True
        seen.add(member)
        bases = (self.graph.modules.lookup(member.module, base) for base in definition.bases)
        above = {found for each in bases for found in each.members} - seen
        return any(self._hooked(found, seen) for found in above)

    def _call(self, module: str, effect: Effect, callee: Found) -> Touch:
        names = effect.names | ({effect.subject} - {""})
        definitions = (self._definition(key) for key in self._definitions(callee))
        called = union(definitions) | self._not_defined(module, effect, callee)
        if not called.dirty:
            return NOTHING
        world = frozenset({effect}) if called.world else frozenset[Effect]()
        return Touch(called.modules | self._deep(module, names), world, called.everything, dirty=True)

    def _not_defined(self, module: str, effect: Effect, callee: Found) -> Touch:
        """What a call may change as far as it may go to something that is no function or class of the tree."""
        variables = [member for member in callee.members if self._variable_of(member)]
        touch = union(self._variable(module, member) for member in variables)
        if callee.external:
            touch |= self._foreign(module, effect, callee)
        if variables or callee.external or self._definitions(callee):
            return touch
        world = frozenset({effect}) if self._reaches_world(module, effect.names) else frozenset[Effect]()
        return Touch(self._deep(module, effect.names), world, dirty=True)

    def _foreign(self, module: str, effect: Effect, callee: Found) -> Touch:
        """A call of a library: its arguments may change, and so may the library unless the call makes a value."""
        touched = self._deep(module, effect.names)
        makes = effect.value and all(_makes_object(name) for name in callee.external)
        world = frozenset[Effect]() if makes or effect.kind == "decorate" else frozenset({effect})
        dirty = bool(touched or world)
        return Touch(touched, world, dirty=dirty)

    def _definition(self, key: tuple[str, str]) -> Touch:
        """What a call may change through all that it calls in turn; names it passes on count once one is dirty."""
        if key not in self._of_members:
            bodies = self._called(key)
            touch = union(body.touch for body in bodies)
            if touch.dirty:
                touch |= Touch(frozenset[str]().union(*(self._passed(body) for body in bodies)))
            self._of_members[key] = touch
        return self._of_members[key]

    def _passed(self, body: _Body) -> frozenset[str]:
        return self._deep(body.module, body.passed)

    def _called(self, start: tuple[str, str]) -> list[_Body]:
        """The body of a definition and of all it calls."""
        seen = {start}
        waiting = [start]
        found = []
        while waiting:
            body = self._body(waiting.pop())
            found.append(body)
            waiting.extend(body.calls - seen)
            seen |= body.calls
        return found

    def _body(self, key: tuple[str, str]) -> _Body:
        if key not in self._bodies:
            module, lookup = key[0], self.graph.modules.lookup
            definition = self.graph.modules.facts(module).definitions[key[1]]
            calls = {each for base in definition.bases for each in self._definitions(lookup(module, base))}
            touch, passed = NOTHING, set[str]()
            for effect in definition.effects:
                if effect.kind in {"call", "decorate"}:
                    callee = lookup(module, effect.callee) if effect.callee else Found()
                    calls |= self._definitions(callee)
                    passed |= effect.names
                    touch |= self._not_defined(module, effect, callee)
                else:
                    touch |= self._effect(module, effect)
            self._bodies[key] = _Body(module, touch, frozenset(passed), frozenset(calls))
        return self._bodies[key]

    def _definitions(self, found: Found) -> set[tuple[str, str]]:
        members = (member for member in found.members if self.graph.modules.definition(member))
        return {(member.module, member.name) for member in members}

    def _variable_of(self, member: Member) -> Variable | None:
        return self.graph.modules.facts(member.module).variables.get(member.name)

    def _variable(self, user: str, member: Member) -> Touch:
        """A method of an object made by a library changes that object only."""
        variable = self._variable_of(member) or Variable()
        if user == member.module and variable.maker not in {"", "?", "[]"}:
            made = self.graph.modules.lookup(member.module, variable.maker)
            if made.external and not made.members and all(_makes_object(name) for name in made.external):
                return Touch(dirty=True)
        touched = self._deep(member.module, variable.names)
        return Touch(touched | {member.module}, self._worldly(member, variable), dirty=True)

    def _worldly(self, member: Member, variable: Variable) -> frozenset[Effect]:
        reaches = self._reaches_world(member.module, variable.names)
        return frozenset({Effect("call", 0)}) if reaches else frozenset()

    def _deep(self, module: str, names: Iterable[str]) -> frozenset[str]:
        """All modules whose objects can be reached through these names."""
        touched: set[str] = set()
        seen: set[str] = set()
        waiting = list(names)
        facts = self.graph.modules.facts(module)
        while waiting:
            dotted = waiting.pop()
            first = dotted.partition(".")[0]
            own = [part for part in (facts.definitions.get(first), facts.variables.get(first)) if part]
            if own and first not in seen:
                seen.add(first)
                touched.add(module)
                waiting.extend(name for part in own for name in part.names)
            touched |= self._outside(module, dotted)
        return frozenset(touched)

    def _outside(self, module: str, dotted: str) -> frozenset[str]:
        key = (module, dotted)
        if key not in self._beyond:
            self._beyond[key] = self._reached(module, dotted)
        return self._beyond[key]

    def _reached(self, module: str, dotted: str) -> frozenset[str]:
        found = self.graph.modules.lookup(module, dotted)
        others = (found.modules | {member.module for member in found.members}) - {module}
        reached = frozenset[str]().union(*(self.graph.reach(other) for other in others))
        return reached.union(*(self._below(package) for package in found.packages))

    def _below(self, package: str) -> frozenset[str]:
        names = (name for name in self.graph.modules.paths if name.startswith(f"{package}."))
        return frozenset(names) | {package}

    def _reaches_world(self, module: str, names: Iterable[str]) -> bool:
        """True when a name, or a variable it may stand for, is an object of a library."""
        seen: set[str] = set()
        waiting = list(names)
        facts = self.graph.modules.facts(module)
        while waiting:
            dotted = waiting.pop()
            if dotted in seen:
                continue
            seen.add(dotted)
            if any(not _makes_object(name) for name in self.graph.modules.lookup(module, dotted).external):
                return True
            variable = facts.variables.get(dotted.partition(".")[0])
            waiting.extend(variable.names if variable else ())
        return False


def _makes_object(full_name: str) -> bool:
    """True for a class (by its spelling) or a function known to make a value."""
    last = full_name.rpartition(".")[2]
    return last[:1].isupper() or full_name == "logging.getLogger" or pure(full_name)
