"""The module-level names of one module, and what they stand for."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from hotswap.closure._facts import Import
from hotswap.closure._known import pure
from hotswap.closure._walk import BUILTINS, at_import, bound_names, chain, chains, root


@dataclass(frozen=True)
class Scope:
    """What names mean at module level; ``registration`` holds full names of functions that only record."""

    imports: dict[str, tuple[Import, ...]]
    own: frozenset[str]
    registration: frozenset[str]

    @classmethod
    def of(cls, tree: ast.Module, imports: tuple[Import, ...], registration: frozenset[str]) -> Scope:
        by_name: dict[str, tuple[Import, ...]] = {}
        for entry in imports:
            by_name[entry.bound] = (*by_name.get(entry.bound, ()), entry)
        return cls(by_name, frozenset(bound_names(at_import(tree.body))), registration)

    def binds(self, name: str) -> bool:
        return name in self.own or name in self.imports

    def is_builtin(self, name: str) -> bool:
        return name in BUILTINS and not self.binds(name)

    def full_name(self, dotted: str) -> str:
        """``np.linspace`` as ``numpy.linspace``; empty when the name is not one absolute import and nothing else."""
        first, _, rest = dotted.partition(".")
        entries = self.imports.get(first, ())
        names = {entry.dotted for entry in entries if entry.level == 0}
        if not first or first in self.own or len(names) != 1 or any(entry.level for entry in entries):
            return ""
        return ".".join(part for part in (*names, rest) if part)

    def registers(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and self.full_name(chain(node.func)) in self.registration

    def names_in(self, *nodes: ast.AST) -> frozenset[str]:
        """Chains below some nodes that start at a module-level name."""
        return frozenset(dotted for dotted in chains(list(nodes)) if self.binds(root(dotted)))

    def used_in(self, *nodes: ast.AST) -> frozenset[str]:
        """As ``names_in``, without functions of libraries that change nothing."""
        return frozenset(dotted for dotted in self.names_in(*nodes) if not pure(self.full_name(dotted)))
