"""What compiling one source file tells: its byte-code, and the modules it imports."""

from __future__ import annotations

import ast
import marshal
import sys
import warnings
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER, source_hash
from types import CodeType

from hotswap.environment import imported_names

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: trust the file, never look at the source
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)

VERSION = f"{sys.implementation.cache_tag}-{int.from_bytes(MAGIC_NUMBER[:2], 'little')}"
"""Byte-code of one version of Python does not fit another."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """``bytecode`` is the content of a ``.pyc`` file, None if the source does not compile."""

    bytecode: bytes | None
    imports: frozenset[str]


def compile_source(source: bytes) -> Compiled:
    """Compile ``source``; one that does not parse imports nothing and has no byte-code.

    The file name inside the byte-code is a dummy: the import system puts the true one in its place.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except _UNPARSABLE:
            return Compiled(None, frozenset())
        return Compiled(_bytecode(source, tree), imported_names(tree))


def cached_path(path: str) -> str:
    """Where the import system looks for the byte-code of the source file at the posix ``path``."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"


def _bytecode(source: bytes, tree: ast.Module) -> bytes | None:
    try:
        code: CodeType = compile(tree, "frozen", "exec", dont_inherit=True, optimize=0)
    except _UNPARSABLE:
        return None
    return MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)
