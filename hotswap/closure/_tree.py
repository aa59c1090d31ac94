"""The modules of a frozen tree and what names in them lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from hotswap.closure._facts import Definition, Facts, Import

_NATIVE = frozenset({".so", ".pyd"})


@dataclass(frozen=True)
class Doubt:
    """Why a dependence cannot be told exactly; a ``deep`` doubt cannot be bounded by following imports."""

    text: str
    deep: bool = False


@dataclass(frozen=True)
class Member:
    """A name defined in a module, and the attributes that follow it."""

    module: str
    name: str
    rest: tuple[str, ...] = ()


@dataclass
class Found:
    """Where a name leads: modules passed on the way, links through packages, ends, and doubts."""

    modules: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    members: set[Member] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    doubts: set[Doubt] = field(default_factory=set)


def module_name(path: str) -> str | None:
    """``my_lab/devices/furnace.py`` as ``my_lab.devices.furnace``; None for a file that is no module."""
    pure = PurePosixPath(path)
    if pure.suffix != ".py" and pure.suffix not in _NATIVE:
        return None
    stem = pure.name.partition(".")[0]
    parts = (*pure.parts[:-1], *([] if stem == "__init__" else [stem]))
    return ".".join(parts)


def _is_native(path: str) -> bool:
    return PurePosixPath(path).suffix in _NATIVE


class Modules:
    """The modules of one tree by name; files are read when somebody asks for their facts.

    ``natives`` are those that lie beside a source of the same name, and are imported in its place.
    """

    def __init__(self, files: Iterable[str], load: Callable[[str], Facts]) -> None:
        ordered = sorted(files, key=lambda path: (not _is_native(path), path))
        named = [(name, path) for path in ordered if (name := module_name(path))]
        self.paths = dict(named)
        self.natives = {name: path for name, path in named if path != self.paths[name] and _is_native(path)}
        self._load = load
        self._facts: dict[str, Facts] = {}
        self._found: dict[tuple[str, str], Found] = {}
        self._plain = {name for name, path in self.paths.items() if PurePosixPath(path).stem != "__init__"}
        self._folders = {parent for name in self.paths for parent in ancestors(name)}

    def __contains__(self, name: str) -> bool:
        return name in self.paths or name in self._folders

    def is_package(self, name: str) -> bool:
        return name in self._folders or (name in self.paths and name not in self._plain)

    def facts(self, name: str) -> Facts:
        """What a module says about itself; a folder without ``__init__`` says nothing."""
        known = self._facts.get(name)
        if known is None:
            path = self.paths.get(name)
            known = self._load(path) if path else Facts(("", "", ""))
            if name in self.natives:
                known = replace(known, dynamic=(*known.dynamic, "the native module beside it"))
            self._facts[name] = known
        return known

    def base(self, importer: str, entry: Import) -> str:
        """The absolute name of the module an import names."""
        if entry.level == 0:
            return entry.module
        steps = entry.level - (1 if self.is_package(importer) else 0)
        parts = importer.split(".")
        kept = parts[: len(parts) - steps] if steps else parts
        return ".".join([*kept, *([entry.module] if entry.module else [])])

    def target(self, importer: str, entry: Import) -> Found:
        """Where an import leads."""
        found = Found()
        base = self.base(importer, entry)
        self._walk(base, (entry.name,) if entry.name not in {"", "*"} else (), found, set())
        return found

    def lookup(self, module: str, dotted: str) -> Found:
        """Where a dotted name used in a module leads; kept, so treat it as read-only."""
        key = (module, dotted)
        if key not in self._found:
            found = self._found[key] = Found()
            first, *rest = dotted.split(".")
            self._bound(module, first, tuple(rest), found, set())
        return self._found[key]

    def definition(self, member: Member) -> Definition | None:
        return self.facts(member.module).definitions.get(member.name)

    def _bound(self, module: str, name: str, rest: tuple[str, ...], found: Found, seen: set[tuple[str, str]]) -> bool:
        """Follow one name of a module; False when the module does not bind it."""
        facts = self.facts(module)
        entries = facts.binding(name)
        for entry in entries:
            asked = (entry.name,) if entry.name else ()
            self._walk(self.base(module, entry), (*asked, *rest), found, seen)
        own = name in facts.definitions or name in facts.variables
        if own:
            found.members.add(Member(module, name, rest))
        return bool(entries) or own

    def _walk(self, module: str, parts: tuple[str, ...], found: Found, seen: set[tuple[str, str]]) -> None:
        if module not in self:
            found.external.add(".".join((module, *parts)))
        elif not self.is_package(module):
            found.modules.add(module)
            self._in_module(module, parts, found, seen)
        elif parts:
            self._in_package(module, parts, found, seen)
        else:
            found.packages.add(module)

    def _in_module(self, module: str, parts: tuple[str, ...], found: Found, seen: set[tuple[str, str]]) -> None:
        if parts and (module, parts[0]) not in seen:
            self._bound(module, parts[0], parts[1:], found, seen | {(module, parts[0])})

    def _in_package(self, package: str, parts: tuple[str, ...], found: Found, seen: set[tuple[str, str]]) -> None:
        first, rest = parts[0], parts[1:]
        if (package, first) in seen:
            return
        below = f"{package}.{first}"
        seen = seen | {(package, first)}
        bound = self._bound(package, first, rest, found, seen)
        if bound:
            self._link(package, first, found)
        if below in self:
            self._walk(below, rest, found, seen)
        if any(entry.name == "*" for entry in self.facts(package).imports):
            found.doubts.add(Doubt(f"{package} imports * and is asked for {first}"))
        elif not bound and below not in self and not first.startswith("__"):
            if "__getattr__" in self.facts(package).definitions:
                found.members.add(Member(package, "__getattr__"))
            found.doubts.add(Doubt(f"{package} does not say what {first} is", deep=True))

    def _link(self, package: str, name: str, found: Found) -> None:
        facts = self.facts(package)
        entries = facts.binding(name)
        if len(set(entries)) > 1 or not all(entry.certain for entry in entries):
            found.doubts.add(Doubt(f"the __init__ of {package} decides when it runs what {name} is"))
        for entry in entries:
            target = self.base(package, entry)
            found.links.add(f"{package}:{name}={target}:{entry.name}")
        if name in facts.definitions or name in facts.variables:
            found.doubts.add(Doubt(f"{name} is defined in the __init__ of {package}"))


def ancestors(name: str) -> list[str]:
    """``a.b.c`` has the ancestors ``a`` and ``a.b``."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def covering(modules: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """The files of some modules, sorted; folders without ``__init__`` have none."""
    return tuple(sorted(modules[name] for name in names if name in modules))
