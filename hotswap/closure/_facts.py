"""What one module says about itself, whatever package it is found in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

Kind = Literal["call", "store", "subclass", "decorate", "dynamic"]


class Detail(IntEnum):
    """How much of the text of a module its behaviour may depend on."""

    CODE = 0
    DOCSTRINGS = 1
    TEXT = 2


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: ``import module`` when ``name`` is empty, all names when it is ``*``.

    ``bound`` is empty when the module only runs, and ``?`` when it is used without a name.
    """

    module: str
    level: int
    name: str
    bound: str
    eager: bool

    @property
    def dotted(self) -> str:
        return ".".join(part for part in (self.module, self.name) if part)


@dataclass(frozen=True, slots=True)
class Effect:
    """Something executed code does that could change more than its own new objects.

    Names are dotted chains that start at a module-level name: ``names`` may be changed, ``context`` are all those
    of the module-level statement, whose digest is ``statement``. ``subject`` is the definition a decorator receives.
    A ``value`` is the result of an expression that goes on being used.
    """

    kind: Kind
    line: int
    callee: str = ""
    names: frozenset[str] = frozenset()
    subject: str = ""
    value: bool = True
    strings: frozenset[str] = frozenset()
    statement: str = ""
    context: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Definition:
    """A module-level function or class: what it names and what its bodies do when they run."""

    names: frozenset[str] = frozenset()
    bases: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    hooks: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A module-level variable: every name of the statements that mention it, and what made its value.

    ``maker`` is the called chain, ``[]`` for literals, empty when it is not known.
    """

    names: frozenset[str] = frozenset()
    maker: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is kept of one module; ``digests`` go from code alone to the whole text (see Detail)."""

    digests: tuple[str, str, str]
    parsed: bool = True
    detail: Detail = Detail.CODE
    imports: tuple[Import, ...] = ()
    definitions: dict[str, Definition] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    chains: frozenset[str] = frozenset()
    effects: tuple[Effect, ...] = ()
    dynamic: tuple[str, ...] = ()
    strings: frozenset[str] = frozenset()
    opens_unknown: bool = False

    def binding(self, name: str) -> tuple[Import, ...]:
        """The imports that bind a name, in order."""
        return tuple(entry for entry in self.imports if entry.bound == name)
