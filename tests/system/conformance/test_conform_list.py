"""Every point of the list has its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "explanation" / "version-processes.md"


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_point_of_the_list_is_tested() -> None:
    listed = re.findall(r"`(\w+)`[,.]", PAGE.read_text().partition("## The list")[2].partition("\n## ")[0])
    tests = {name.removeprefix("test_") for path in HERE.glob("test_conform_*.py") for name in functions(path)}
    assert len(listed) == len(set(listed)) == 83
    assert sorted(set(listed) - tests) == []
