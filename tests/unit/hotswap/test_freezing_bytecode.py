"""What compiling a source file tells."""

from __future__ import annotations

import ast
import marshal
import types
from pathlib import Path

import pytest

from hotswap.store._bytecode import cached_path, compile_source, imported_names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import numpy.linalg as la, scipy", {"numpy", "scipy"}),
        ("from pydantic.fields import Field", {"pydantic"}),
        ("from . import helpers\nfrom .devices import Furnace\nfrom .. import up", set()),
        ("def f():\n    import lazy", {"lazy"}),
        ("class A:\n    def f(self):\n        return [__import__('deep') for _ in '12']", {"deep"}),
        ("try:\n    import fast\nexcept ImportError:\n    import slow", {"fast", "slow"}),
        ('importlib.import_module("plug.in")', {"plug"}),
        ('from importlib import import_module\nNAME = "no"\nimport_module("plug")', {"importlib", "plug"}),
        ('__import__("dunder")', {"dunder"}),
        ("import_module(name)", set()),
        ("if TYPE_CHECKING:\n    import typed", {"typed"}),
        ("'''\nimport told_of\n'''", set()),
        ("import " + ", ".join(f"m{number}" for number in range(300)), {f"m{number}" for number in range(300)}),
        ("\n".join(f"from .a{number} import b" for number in range(300)) + "\nimport last", {"last"}),
    ],
)
def test_absolute_imports_are_found_wherever_they_are(code: str, names: set[str]) -> None:
    assert compile_source(code.encode()).imports == names


def test_the_imports_of_real_modules_are_those_of_their_statements() -> None:
    for path in [Path(ast.__file__), Path(types.__file__), *Path(ast.__file__).parent.glob("asyncio/*.py")]:
        code = path.read_text()
        nodes = list(ast.walk(ast.parse(code)))
        stated = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        stated |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
        assert imported_names(compile(code, "m", "exec")) == {name.partition(".")[0] for name in stated}, path


def test_byte_code_runs_as_its_source_does() -> None:
    bytecode = compile_source(b"VALUE = 6 * 7\n").bytecode
    assert bytecode is not None
    found: dict[str, object] = {}
    exec(marshal.loads(bytecode[16:]), found)
    assert found["VALUE"] == 42


@pytest.mark.parametrize("broken", [b"def f(:\n", b"\x00", b"\xff\xfe", b"return 1\n", b"(" * 5000])
def test_what_does_not_compile_has_no_byte_code_and_imports_nothing(broken: bytes) -> None:
    compiled = compile_source(b"import numpy\n" + broken)
    assert (compiled.bytecode, compiled.imports) == (None, frozenset())


def test_byte_code_lies_where_python_looks_for_it() -> None:
    assert cached_path("my_lab/tasks/heat.py").startswith("my_lab/tasks/__pycache__/heat.")
