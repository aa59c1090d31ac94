"""What compiling one source file tells: its byte-code, and the modules it imports."""

from __future__ import annotations

import dis
import marshal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER, source_hash
from itertools import pairwise
from types import CodeType

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: trust the file, never look at the source
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_IMPORT, _CONSTANT = dis.opmap["IMPORT_NAME"], dis.opmap["LOAD_CONST"]
_IMPORTERS = {"import_module", "__import__"}

VERSION = f"{sys.implementation.cache_tag}-{int.from_bytes(MAGIC_NUMBER[:2], 'little')}"
"""Byte-code of one version of Python does not fit another."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """``bytecode`` is the content of a ``.pyc`` file, None if the source does not compile."""

    bytecode: bytes | None
    imports: frozenset[str]


def compile_source(source: bytes) -> Compiled:
    """Compile ``source``; one that does not compile imports nothing and has no byte-code.

    The file name inside the byte-code is a dummy: the import system puts the true one in its place.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code: CodeType = compile(source, "frozen", "exec", dont_inherit=True, optimize=0)
        except _UNPARSABLE:
            return Compiled(None, frozenset())
    bytecode = MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)
    return Compiled(bytecode, imported_names(code))


def cached_path(path: str) -> str:
    """Where the import system looks for the byte-code of the source file at the posix ``path``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"


def imported_names(code: CodeType) -> frozenset[str]:
    """Top-level names of the modules that ``code`` imports absolutely, anywhere in it."""
    return frozenset(name.partition(".")[0] for part in _parts(code) for name in _imports(part))


def _parts(code: CodeType) -> Iterator[CodeType]:
    """A module, and its functions and classes at any depth."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)


def _imports(code: CodeType) -> Iterator[str]:
    """What one code object imports: by statement, or by calling an importer with a constant."""
    if _IMPORT in code.co_code:
        yield from _stated(code)
    if not _IMPORTERS.isdisjoint(code.co_names):
        yield from _called(code)


def _stated(code: CodeType) -> Iterator[str]:
    """The arguments of import instructions; each follows the loads of its level and of the names it takes.

    Not by ``dis``, which would take longer than everything else but the compiler.
    """
    levels = [0, 0]
    for operation, argument in _instructions(code.co_code):
        if operation == _IMPORT and levels[0] == 0:
            yield code.co_names[argument]
        levels = [levels[1], code.co_consts[argument] if operation == _CONSTANT else argument]


def _instructions(code: bytes) -> Iterator[tuple[int, int]]:
    """Operations with their arguments, of which one that is longer than a byte comes in parts."""
    extended = 0
    for operation, part in zip(code[::2], code[1::2], strict=True):
        argument = extended | part
        if operation == dis.EXTENDED_ARG:
            extended = argument << 8
        else:
            yield operation, argument
            extended = 0


def _called(code: CodeType) -> Iterator[str]:
    instructions = [one for one in dis.get_instructions(code) if one.opname != "PUSH_NULL"]
    for before, this in pairwise(instructions):
        is_name = this.opname == "LOAD_CONST" and isinstance(this.argval, str)
        if is_name and before.opname.startswith("LOAD_") and before.argval in _IMPORTERS:
            yield this.argval
