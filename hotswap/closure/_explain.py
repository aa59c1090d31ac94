"""Why the digest of a class differs between two trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from packaging.utils import canonicalize_name

from hotswap.closure._closure import Closure, Verdict
from hotswap.closure._evidence import Evidence
from hotswap.closure._facts import Detail
from hotswap.closure._plan import Scheme
from hotswap.closure._route import Routes, Step
from hotswap.closure._statements import changes
from hotswap.environment import EnvironmentChange, fingerprint
from hotswap.errors import UnknownClassError

_COUNTED: dict[Scheme, str] = {
    "reachable": "what it uses",
    "imports": "all that importing it imports",
    "package": "the whole package",
}


@dataclass(frozen=True)
class Cause:
    """Something a class depends on that is not the same: where, ``what`` changed there, and the way to it.

    ``path`` is empty for the order of imports and for how closely was looked.
    """

    path: str
    what: tuple[str, ...]
    route: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why the digest of ``class_name`` differs; a verdict is None where the class does not exist.

    ``environment`` has the changes of distributions that its imports touch.
    """

    class_name: str
    before: Verdict | None
    after: Verdict | None
    causes: tuple[Cause, ...] = ()
    environment: tuple[EnvironmentChange, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the class may behave differently."""
        old, new = self.before, self.after
        return old is None or new is None or old.digest != new.digest or bool(self.environment)

    def lines(self) -> Iterator[str]:
        """The explanation as text."""
        name = self.class_name.partition(":")[2]
        for verdict, where in ((self.before, "after"), (self.after, "before")):
            if verdict is None:
                yield f"{self.class_name} exists {where} the change only."
                return
        if not self.changed:
            yield f"Nothing that {name} depends on changed."
        for cause in self.causes:
            yield " -> ".join((name, *(f"{step.to} ({step.how})" for step in cause.route)))
            where = f"{cause.path}: " if cause.path else ""
            yield from (f"    {where}{what}" for what in cause.what)
        for change in self.environment:
            yield f"{name} -> {change.name} (environment)"
            yield f"    {change.before or 'absent'} before, {change.after or 'absent'} after"
        yield from _closeness(self.after)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "changed": self.changed}


def explain(
    before: Closure,
    after: Closure,
    class_name: str,
    *,
    roots: Iterable[str] = (),
    environment: Iterable[EnvironmentChange] = (),
) -> Explanation:
    """Why the verdict on ``module:Class`` differs between two trees; of ``environment``, what its imports touch.

    The module may pass the class on from another. ``roots`` are those of ``Closure.verdict``.
    Raises ``UnknownClassError`` if neither tree has the class.
    """
    if missing := _missing(before, after, class_name):
        return missing
    given = tuple(roots)
    names = before.resolve(class_name), after.resolve(class_name)
    old, new = before.verdict(names[0], given), after.verdict(names[1], given)
    causes = tuple(_Comparison((before, after), names, given).causes()) if old.digest != new.digest else ()
    return Explanation(class_name, old, new, causes, _touched(environment, {*old.imports, *new.imports}))


def _missing(before: Closure, after: Closure, class_name: str) -> Explanation | None:
    """The answer for a class that one tree does not have; None when both have it, or it is a library's."""
    module, _, qualified = class_name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *qualified.split("."))):
        raise UnknownClassError(
            f"{class_name!r} is no class: write it as module:Class, such as my_lab.devices:Furnace."
        )
    known = before.has(class_name), after.has(class_name)
    if all(known) or not (before.belongs(class_name) or after.belongs(class_name)):
        return None
    if not any(known):
        raise UnknownClassError(f"Neither version has the class {class_name}: name the module that defines it.")
    old, new = (tree.verdict(class_name) if has else None for tree, has in zip((before, after), known, strict=True))
    return Explanation(class_name, old, new)


def _touched(changes: Iterable[EnvironmentChange], imports: set[str]) -> tuple[EnvironmentChange, ...]:
    provided = {one.name for one in fingerprint(imports).distributions}
    names = {"python", *provided, *(canonicalize_name(name) for name in imports)}
    return tuple(change for change in changes if change.name in names)


def _closeness(verdict: Verdict | None) -> Iterator[str]:
    if verdict is None or verdict.scheme == "reachable":
        return
    yield f"{_COUNTED[verdict.scheme].capitalize()} counts, because"
    yield from (f"    {reason}" for reason in verdict.why)


class _Comparison:
    """The evidence of two trees, side by side."""

    def __init__(self, trees: tuple[Closure, Closure], names: tuple[str, str], roots: tuple[str, ...]) -> None:
        self._trees = trees
        self._names = names
        self._found = trees[0].evidence(names[0], roots), trees[1].evidence(names[1], roots)
        self._detail = max(found.detail for found in self._found)
        self._routes = [
            Routes(tree.graph, found, tree.names_data) for tree, found in zip(self._trees, self._found, strict=True)
        ]

    def causes(self) -> Iterator[Cause]:
        if self._names[0] != self._names[1]:
            yield Cause("", (f"it is {self._names[1]}, before {self._names[0]}",))
        yield from self._of_scheme()
        yield from self._of_modules()
        yield from self._of_data()
        yield from self._of_links()
        yield from self._of_imports()
        yield from self._of_statements()
        yield from self._of_order()

    def _of_modules(self) -> Iterator[Cause]:
        old, new = (self._digests(tree, found) for tree, found in zip(self._trees, self._found, strict=True))
        for name in self._different(old, new):
            paths = [tree.modules.paths.get(name) for tree in self._trees]
            what = self._what(name, paths)
            if what:
                yield Cause(paths[1] or paths[0] or name, what, self._routes[name in new].to_module(name))

    def _digests(self, tree: Closure, found: Evidence) -> dict[str, str]:
        """At the same detail for both trees."""
        return {name: tree.modules.facts(name).digests[self._detail_of(name)] for name in found.modules}

    def _detail_of(self, name: str) -> Detail:
        return max(self._detail, *(tree.own_detail(name) for tree in self._trees))

    def _what(self, name: str, paths: Sequence[str | None]) -> tuple[str, ...]:
        facts = [tree.modules.facts(name).digests[self._detail_of(name)] for tree in self._trees]
        if facts[0] == facts[1]:
            return self._counted(name in self._found[1].modules)
        if any(path and not path.endswith(".py") for path in paths):
            return ("native code changed",)
        texts = [tree.read(path) if path else None for tree, path in zip(self._trees, paths, strict=True)]
        return changes(texts[0], texts[1], self._trees[1].registration, self._detail_of(name))

    def _of_data(self) -> Iterator[Cause]:
        old, new = (found.data for found in self._found)
        for path in self._different(old, new):
            contents = [tree.files.get(path) for tree in self._trees]
            what = self._counted(path in new) if contents[0] == contents[1] else (_content(contents),)
            if what:
                yield Cause(path, what, self._routes[path in new].to_data(path))

    def _counted(self, now: bool) -> tuple[str, ...]:
        """Of what is the same in both trees; a change of the scheme, told by itself, makes many things count."""
        if self._found[0].plan.scheme != self._found[1].plan.scheme:
            return ()
        return ("it counts now",) if now else ("it does not count any more",)

    @staticmethod
    def _different(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
        return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))

    def _of_links(self) -> Iterator[Cause]:
        old, new = (found.plan.links for found in self._found)
        for package in sorted({link.partition(":")[0] for link in old ^ new}):
            told = [_passed(link) for link in sorted(new - old) if link.startswith(f"{package}:")]
            path = self._trees[1].modules.paths.get(package, package)
            yield Cause(path, tuple(told) or ("it passes on less",), (Step(package, "package"),))

    def _of_imports(self) -> Iterator[Cause]:
        """Names of libraries that are names of the tree too, in one of both."""
        old, new = (found.plan.external for found in self._found)
        for name in sorted(old ^ new):
            if any(name in tree.modules for tree in self._trees):
                where = "outside" if name in new else "inside"
                yield Cause("", (f"importing {name} leads {where} the snapshot now",))

    def _of_statements(self) -> Iterator[Cause]:
        old, new = (set(found.plan.statements) for found in self._found)
        for name in sorted({module for module, _ in old ^ new}):
            tree = self._trees[1] if name in self._trees[1].modules.paths else self._trees[0]
            digests = {known for module, known in old ^ new if module == name}
            effects = tree.modules.facts(name).effects
            lines = sorted({effect.line for effect in effects if effect.statement in digests})
            told = tuple(f"what it changes outside the package changed, line {line}" for line in lines)
            route = (Step(name, "changes something outside the package when it is imported"),)
            yield Cause(tree.modules.paths[name], told or ("it changes something outside the package no more",), route)

    def _of_order(self) -> Iterator[Cause]:
        old, new = (found.plan.order for found in self._found)
        if old != new and set(old) == set(new):
            yield Cause("", ("the order in which modules are imported changed",))

    def _of_scheme(self) -> Iterator[Cause]:
        old, new = (found.plan.scheme for found in self._found)
        if old != new:
            yield Cause("", (f"{_COUNTED[new]} counts now, before {_COUNTED[old]}",))


def _content(digests: Sequence[str | None]) -> str:
    """What happened to a data file, from its digests before and after."""
    if None in digests:
        return "this file is new" if digests[0] is None else "this file is gone"
    return "its content changed"


def _passed(link: str) -> str:
    name, _, source = link.partition(":")[2].partition("=")
    module, _, original = source.partition(":")
    return f"it passes on {name} from {module}" + (f", where it is {original}" if original not in {"", name} else "")
