"""What one module says about itself, whatever package it is found in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

Kind = Literal["call", "store", "subclass", "decorate", "operate", "hand", "dynamic"]

Reading = Literal[
    "location", "data", "own", "sources", "names", "patterns", "folders", "listing", "climbs", "metadata", "file"
]
"""How a module reads files: it can tell where the package lies (``location``); it may read any data file, the text of
its ``own`` source, that of all ``sources``, the ``names`` of all; it lists what fits a pattern, what is in a folder it
names, or (``listing``) in any; it ``climbs`` from a path it is given to others; it asks for the ``metadata``; it has a
name for the ``file`` of a source."""


class Detail(IntEnum):
    """How much of the text of a module its behaviour may depend on."""

    CODE = 0
    DOCSTRINGS = 1
    TEXT = 2


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: ``import module`` when ``name`` is empty, all names when it is ``*``.

    ``bound`` is empty when the module only runs, and ``?`` when it is used without a name. It is ``certain`` unless
    it stands inside another statement, such as ``if``.
    """

    module: str
    level: int
    name: str
    bound: str
    eager: bool
    certain: bool = True

    @property
    def dotted(self) -> str:
        return ".".join(part for part in (self.module, self.name) if part)


@dataclass(frozen=True, slots=True)
class Held:
    """What a value may hold: a new object with a ``state`` that use changes, what ``names`` lead to, what calls of
    the names ``made`` return.
    """

    state: bool = False
    names: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Effect:
    """Something executed code does that could change more than its own new objects.

    Names are dotted chains that start at a module-level name: ``names`` may be changed, ``context`` are all those
    of the module-level statement, whose digest is ``statement``. ``subject`` is the definition that a decorator or a
    hook of a base receives. A ``value`` is the result of an expression that goes on being used. To ``operate`` is to
    run ``methods`` without naming them, of ``local`` objects too; a store may ``put`` what these names lead to.
    What ``consumed`` leads to may be used up, as an iterator is in a loop; so may local objects if it ``consumes``.
    To ``hand`` is to give names to a function that may call them.
    What a body does at a ``depth`` happens once the result of its call was called so many times; a ``curried``
    decorator is called with arguments, and its result with the subject.
    """

    kind: Kind
    line: int
    callee: str = ""
    names: frozenset[str] = frozenset()
    subject: str = ""
    value: bool = True
    strings: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    local: bool = False
    put: frozenset[str] = frozenset()
    depth: int = 0
    curried: bool = False
    consumed: frozenset[str] = frozenset()
    consumes: bool = False
    statement: str = ""
    context: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Definition:
    """A module-level function or class: what it names and what its bodies do when they run.

    Of a class, ``methods`` are those that are called on the class itself and the classes inside. ``unnamed`` are names
    that its body binds, that do something and may be called without being named; it ``hooks`` when others run its code
    by subclassing it. ``held`` is what a function returns, or what a class and its objects keep; it is ``cached`` when
    a decorator may keep it.
    """

    names: frozenset[str] = frozenset()
    bases: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    hooks: bool = False
    methods: frozenset[str] = frozenset()
    unnamed: frozenset[str] = frozenset()
    held: Held = Held()
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A module-level variable: every name of the statements that mention it, and what made its value.

    ``maker`` is the called chain, ``[]`` for literals, empty when it is not known.
    """

    names: frozenset[str] = frozenset()
    maker: str = ""
    held: Held = Held()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is kept of one module; ``digests`` go from code alone to the whole text (see Detail).

    The docstrings of the classes of ``models`` are what a library makes descriptions of; ``bases`` are the chains that
    any class derives from. ``places`` are names for somewhere in the package; ``settled`` has the imported chains that
    would only name files told by constants if they were such, with the names that they are bound to.
    """

    digests: tuple[str, str, str]
    parsed: bool = True
    detail: Detail = Detail.CODE
    models: bool = False
    bases: frozenset[str] = frozenset()
    imports: tuple[Import, ...] = ()
    definitions: dict[str, Definition] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    chains: frozenset[str] = frozenset()
    effects: tuple[Effect, ...] = ()
    dynamic: tuple[str, ...] = ()
    strings: frozenset[str] = frozenset()
    reads: frozenset[Reading] = frozenset()
    places: frozenset[str] = frozenset()
    settled: dict[str, frozenset[str]] = field(default_factory=dict)

    def binding(self, name: str) -> tuple[Import, ...]:
        """The imports that bind a name, in order."""
        return tuple(entry for entry in self.imports if entry.bound == name)
