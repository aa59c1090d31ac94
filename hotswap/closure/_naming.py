"""Whether a tree has what a person calls ``module:Class``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from hotswap.closure._tree import Member, Modules
from hotswap.closure._walk import at_import, at_module_level, bound_names, chain


def exists(modules: Modules, read: Callable[[str], bytes], class_name: str) -> bool:
    """Whether each part of a name is there, as far as the source tells; a variable may have anything."""
    module, _, qualified = class_name.partition(":")
    first, *rest = qualified.split(".")
    if module not in modules or not all(part.isidentifier() for part in (first, *rest)):
        return False
    return _in_module(modules, read, Member(module, first, tuple(rest)), set())


def _in_module(modules: Modules, read: Callable[[str], bytes], member: Member, seen: set[Member]) -> bool:
    if member in seen:
        return False
    seen.add(member)
    facts = modules.facts(member.module)
    if member.name in facts.definitions:
        return not member.rest or _in_classes(modules, read, member, seen)
    if member.name in facts.variables:
        return True
    if not facts.binding(member.name):
        return False
    found = modules.lookup(member.module, ".".join((member.name, *member.rest)))
    return bool(found.external) or any(_in_module(modules, read, each, seen) for each in found.members)


def _in_classes(modules: Modules, read: Callable[[str], bytes], member: Member, seen: set[Member]) -> bool:
    """Whether a class, or one of its bases in the tree, binds the name."""
    nodes = at_module_level(ast.parse(read(modules.paths[member.module])).body)
    classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name == member.name]
    if any(_binds(node, member.rest) for node in classes):
        return True
    bases = (base for node in classes for base in _bases(modules, node, member))
    return any(_in_module(modules, read, base, seen) for base in bases)


def _binds(node: ast.ClassDef, parts: tuple[str, ...]) -> bool:
    inner, *rest = parts
    if not rest:
        return inner in bound_names(at_import(node.body))
    classes = (part for part in node.body if isinstance(part, ast.ClassDef) and part.name == inner)
    return any(_binds(part, tuple(rest)) for part in classes)


def _bases(modules: Modules, node: ast.ClassDef, member: Member) -> Iterator[Member]:
    for base in node.bases:
        dotted = chain(base.value if isinstance(base, ast.Subscript) else base)
        found = modules.lookup(member.module, dotted) if dotted else None
        for each in found.members if found else ():
            yield Member(each.module, each.name, (*each.rest, *member.rest))
