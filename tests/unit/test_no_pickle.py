"""What travels between processes or lies in files is never code in disguise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import hotswap
import lab

FORBIDDEN = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "multiprocessing"}

COMPILER = {"_bytecode.py": {"marshal"}}
"""Compiles frozen modules, and so writes the byte-code files that the interpreter itself would write."""


def imported(tree: ast.AST) -> Iterator[str]:
    """The names of the top-level packages that a module imports anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            # The name may be given to an importing function.
            yield str(node.args[0].value).partition(".")[0]


def test_an_import_is_found_wherever_it_hides() -> None:
    text = "def f():\n import pickle.x\n from dill import y\n import_module('marshal')\n from .shelve import z"
    assert FORBIDDEN & set(imported(ast.parse(text))) == {"pickle", "dill", "marshal"}


def test_no_module_imports_a_serialiser_that_runs_what_it_reads() -> None:
    folders = [Path(str(package.__file__)).parent for package in (hotswap, lab)]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    assert len(files) > 100
    found = {file.name: FORBIDDEN & set(imported(ast.parse(file.read_text()))) for file in files}
    assert {name: names for name, names in found.items() if names} == COMPILER
