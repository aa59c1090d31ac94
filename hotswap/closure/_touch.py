"""What the import of a module may change outside of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from hotswap.closure._facts import Definition, Effect, Variable
from hotswap.closure._graph import Graph
from hotswap.closure._known import INHERITED_METHODS, LOGGED_BY, SHARED_MAKERS, pure
from hotswap.closure._operators import ANY
from hotswap.closure._sharing import Sharing
from hotswap.closure._tree import Found, Member


@dataclass(frozen=True)
class Touch:
    """``modules`` may be changed, or ``everything``; ``world`` holds effects that reach beyond the tree.

    What ``consumes`` may use up what it is given.
    """

    modules: frozenset[str] = frozenset()
    world: frozenset[Effect] = frozenset()
    everything: bool = False
    dirty: bool = False
    consumes: bool = False

    def __or__(self, other: Touch) -> Touch:
        return Touch(
            self.modules | other.modules,
            self.world | other.world,
            self.everything or other.everything,
            self.dirty or other.dirty,
            self.consumes or other.consumes,
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
    _of_members: dict[tuple[tuple[str, str], int | None], Touch] = field(default_factory=dict)
    _bodies: dict[tuple[tuple[str, str], int | None], _Body] = field(default_factory=dict)
    _beyond: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def of(self, module: str) -> Touch:
        """What importing a module may change, its own objects left out."""
        if module not in self._of_modules:
            effects = self.graph.modules.facts(module).effects
            whole = self._named(module) | union(
                self._operation(module, effect) for effect in effects if effect.kind == "operate"
            )
            others = whole.modules - {module}
            self._of_modules[module] = Touch(others, whole.world, whole.everything, whole.dirty)
        return self._of_modules[module]

    def _named(self, module: str) -> Touch:
        """What importing a module changes by code that it names."""
        effects = self.graph.modules.facts(module).effects
        return union(self._effect(module, effect) for effect in effects if effect.kind != "operate")

    def _operation(self, module: str, effect: Effect) -> Touch:
        """An object that a name leads to has a class that the name leads to, unless others put the object there."""
        reached = self._deep(module, effect.names)
        near = self._near(module, effect) | self._logged(effect)
        used = self._used(module, effect.consumed | (effect.names if near else frozenset()))
        called = union(self._definition(key) for key in near)
        if not called.dirty:
            return used
        world = frozenset({effect}) if called.world else frozenset[Effect]()
        return used | Touch(called.modules | reached, world, called.everything, dirty=True)

    def _near(self, module: str, effect: Effect) -> set[tuple[str, str]]:
        """The classes whose methods an operation may call."""
        reached = self._deep(module, effect.names)
        every = self._unnamed(effect)
        if effect.kind == "operate" and not reached.isdisjoint(self._stirred):
            return every
        return {key for key in every if key[0] in reached or key[0] == module}

    def _used(self, module: str, names: Iterable[str]) -> Touch:
        """Objects with a state that is used up, with the code that runs when they are."""
        shared = self._sharing.of(module, names)
        ran = union(self._definition(key) for key in shared.runs)
        return Touch(shared.modules | ran.modules, ran.world, ran.everything, dirty=bool(shared.modules))

    @cached_property
    def _sharing(self) -> Sharing:
        return Sharing(self.graph.modules)

    def _logged(self, effect: Effect) -> set[tuple[str, str]]:
        """Handlers of log records get those of all modules."""
        logs = not effect.methods.isdisjoint(LOGGED_BY)
        methods = LOGGED_BY if logs else frozenset[str]()
        return set[tuple[str, str]]().union(*(self._by_method.get(name, set()) for name in methods))

    @cached_property
    def _stirred(self) -> frozenset[str]:
        """Modules in whose objects other modules may put something."""
        every = self.graph.modules.paths
        return frozenset[str]().union(*(self._named(module).modules - {module} for module in every))

    def _unnamed(self, effect: Effect) -> set[tuple[str, str]]:
        """The definitions with a method that an operation may call."""
        if ANY in effect.methods:
            return set[tuple[str, str]]().union(*self._by_method.values())
        return set[tuple[str, str]]().union(*(self._by_method.get(name, set()) for name in effect.methods))

    @cached_property
    def _by_method(self) -> dict[str, set[tuple[str, str]]]:
        """Classes by the methods, inherited too, that do something and are called without being named."""
        found = defaultdict[str, set[tuple[str, str]]](set)
        for module in self.graph.modules.paths:
            for name, definition in self.graph.modules.facts(module).definitions.items():
                own = {"__getattr__"} if name == "__getattr__" else definition.unnamed
                inherited = (each.unnamed for each in self._bases(Member(module, name), set()))
                for method in own.union(*inherited):
                    found[method].add((module, name))
        return dict(found)

    def _bases(self, member: Member, seen: set[Member]) -> Iterator[Definition]:
        """The classes of the tree above a class, itself included."""
        definition = self.graph.modules.definition(member)
        if definition is None or member in seen:
            return
        seen.add(member)
        yield definition
        for base in definition.bases:
            for found in self.graph.modules.lookup(member.module, base).members:
                yield from self._bases(found, seen)

    def _effect(self, module: str, effect: Effect) -> Touch:
        if effect.kind == "dynamic":
            return Touch(everything=True, dirty=True)
        if effect.kind == "store":
            return self._store(module, effect)
        callee = self.graph.modules.lookup(module, effect.callee) if effect.callee else Found()
        if effect.kind == "subclass":
            return self._subclass(module, effect, callee)
        if effect.kind == "hand":
            return self._handed(module, effect)
        return self._call(module, effect, callee)

    def _store(self, module: str, effect: Effect) -> Touch:
        """A result of arithmetic is new unless a class hands out what others have."""
        if effect.methods and not self._near(module, effect):
            return NOTHING
        found = self.graph.modules.lookup(module, effect.callee) if effect.callee else Found()
        worldly = bool(found.external) or self._reaches_world(module, effect.names)
        world = frozenset({effect}) if worldly else frozenset[Effect]()
        put = self._deep(module, effect.put)
        direct = found.members and not any(member.rest for member in found.members)
        if direct and not self._variables_among(found):
            return Touch(put.union(member.module for member in found.members), world, dirty=True)
        return Touch(put | self._deep(module, effect.names) | found.modules, world, dirty=True)

    def _variables_among(self, found: Found) -> bool:
        return any(self._variable_of(member) for member in found.members)

    def _subclass(self, module: str, effect: Effect, base: Found) -> Touch:
        if effect.callee and not any(self._hooked(member, set()) for member in base.members):
            return NOTHING
        called = union(self._definition(key) for key in self._definitions(base))
        world = frozenset({effect}) if called.world else frozenset[Effect]()
        return Touch(called.modules | self._deep(module, effect.names), world, called.everything, dirty=True)

    def _hooked(self, member: Member, seen: set[Member]) -> bool:
        """True when subclassing runs code of the tree; a base that is no plain class may."""
        definition = self.graph.modules.definition(member)
        if definition is None or definition.hooks or member.rest:
            return True
        seen.add(member)
        bases = (self.graph.modules.lookup(member.module, base) for base in definition.bases)
        above = {found for each in bases for found in each.members} - seen
        return any(self._hooked(found, seen) for found in above)

    def _handed(self, module: str, effect: Effect) -> Touch:
        """What a library may change by calling what it is given."""
        called = union(self._definition(key) for key in self._sharing.handed(module, effect.names))
        bound = self._sharing.bound(module, effect.names)
        if not called.dirty:
            return Touch(bound, dirty=bool(bound))
        world = frozenset({effect}) if called.world else frozenset[Effect]()
        return Touch(bound | called.modules | self._deep(module, effect.names), world, called.everything, dirty=True)

    def _call(self, module: str, effect: Effect, callee: Found) -> Touch:
        names = effect.names | ({effect.subject} - {""})
        depth = int(effect.curried) if effect.kind == "decorate" else None
        definitions = (self._definition(key, depth) for key in self._definitions(callee))
        called = union(definitions) | self._not_defined(module, effect, callee)
        used = self._used(module, effect.names - {effect.callee}) if called.consumes else NOTHING
        if not called.dirty:
            return used
        world = frozenset({effect}) if called.world else frozenset[Effect]()
        return used | Touch(called.modules | self._deep(module, names), world, called.everything, dirty=True)

    def _not_defined(self, module: str, effect: Effect, callee: Found) -> Touch:
        """What a call may change as far as it may go to something that is no function or class of the tree."""
        variables = [member for member in callee.members if self._variable_of(member)]
        touch = union(self._variable(module, member) for member in variables)
        if callee.external:
            touch |= self._foreign(module, effect, callee)
        if any(self._inherits(member) for member in callee.members):
            touch |= Touch(self._deep(module, effect.names), dirty=True)
        if variables or callee.external or self._definitions(callee):
            return touch
        world = frozenset({effect}) if self._reaches_world(module, effect.names) else frozenset[Effect]()
        return Touch(self._deep(module, effect.names), world, dirty=True)

    def _inherits(self, member: Member) -> bool:
        """True for anything of a class or function of the tree but a method whose body tells what it changes."""
        if not member.rest or self.graph.modules.definition(member) is None:
            return False
        known = INHERITED_METHODS.union(
            *(each.methods for each in self._bases(Member(member.module, member.name), set()))
        )
        return len(member.rest) > 1 or member.rest[0] not in known

    def _foreign(self, module: str, effect: Effect, callee: Found) -> Touch:
        """A call of a library: its arguments may change, and so may the library unless the call makes a value."""
        touched = self._deep(module, effect.names)
        makes = effect.value and all(_makes_object(name) for name in callee.external)
        world = frozenset[Effect]() if makes or effect.kind == "decorate" else frozenset({effect})
        dirty = bool(touched or world)
        return Touch(touched, world, dirty=dirty)

    def _definition(self, key: tuple[str, str], depth: int | None = None) -> Touch:
        """What a call may change through all that it calls in turn; names it passes on count once one is dirty.

        With a ``depth``, what it returns is called so many times and no more.
        """
        if (key, depth) not in self._of_members:
            bodies = self._called(key, depth)
            touch = union(body.touch for body in bodies)
            if touch.consumes:
                touch |= union(self._used_by(body) for body in bodies)
            if touch.dirty:
                touch |= Touch(frozenset[str]().union(*(self._passed(body) for body in bodies)))
            self._of_members[key, depth] = touch
        return self._of_members[key, depth]

    def _used_by(self, body: _Body) -> Touch:
        shared = self._sharing.of(body.module, body.passed)
        ran = (each.touch for key in shared.runs for each in self._called(key, None))
        return union([Touch(shared.modules, dirty=bool(shared.modules)), *ran])

    def _passed(self, body: _Body) -> frozenset[str]:
        return self._deep(body.module, body.passed)

    def _called(self, start: tuple[str, str], depth: int | None) -> list[_Body]:
        """The body of a definition and of all it calls."""
        found = [self._body(start, depth)]
        seen = {start} if depth is None else set()
        waiting = list(found[0].calls - seen)
        seen |= found[0].calls
        while waiting:
            body = self._body(waiting.pop(), None)
            found.append(body)
            waiting.extend(body.calls - seen)
            seen |= body.calls
        return found

    def _body(self, key: tuple[str, str], depth: int | None) -> _Body:
        if (key, depth) not in self._bodies:
            module, lookup = key[0], self.graph.modules.lookup
            definition = self.graph.modules.facts(module).definitions[key[1]]
            effects = [each for each in definition.effects if depth is None or each.depth <= depth]
            calls = {each for base in definition.bases for each in self._definitions(lookup(module, base))}
            touch, passed = NOTHING, set[str]()
            for base in definition.bases:
                made = [member for member in lookup(module, base).members if self._variable_of(member)]
                touch |= union(self._variable(module, member) for member in made)
            for effect in effects:
                if effect.kind in {"call", "decorate"}:
                    callee = lookup(module, effect.callee) if effect.callee else Found()
                    calls |= self._definitions(callee)
                    passed |= effect.names
                    touch |= self._not_defined(module, effect, callee)
                elif effect.kind == "operate":
                    calls |= self._unnamed(effect) | self._logged(effect)
                    passed |= effect.names
                    used = effect.names if self._unnamed(effect) else effect.consumed
                    shared = self._sharing.of(module, used)
                    calls |= shared.runs
                    touch |= Touch(shared.modules, dirty=bool(shared.modules), consumes=effect.consumes)
                elif effect.kind == "hand":
                    calls |= self._sharing.handed(module, effect.names)
                    bound = self._sharing.bound(module, effect.names)
                    touch |= Touch(bound, dirty=bool(bound))
                    passed |= effect.names
                else:
                    touch |= self._effect(module, effect)
            self._bodies[key, depth] = _Body(module, touch, frozenset(passed), frozenset(calls))
        return self._bodies[key, depth]

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
            own = all(name in SHARED_MAKERS or _makes_object(name) for name in made.external)
            if made.external and not made.members and own:
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
            if variable and not self._own_logger(module, variable):
                waiting.extend(variable.names)
        return False

    def _own_logger(self, module: str, variable: Variable) -> bool:
        made = self.graph.modules.lookup(module, variable.maker).external if variable.maker else set[str]()
        return bool(made) and made <= SHARED_MAKERS


def _makes_object(full_name: str) -> bool:
    """True for a class (by its spelling) or a function known to make a value."""
    return full_name.rpartition(".")[2][:1].isupper() or pure(full_name)
