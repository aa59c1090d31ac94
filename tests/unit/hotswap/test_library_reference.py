"""What docs/reference/hotswap.md says is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hotswap

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reference" / "hotswap.md").read_text()
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("name", hotswap.__all__)
def test_the_reference_names_every_public_name(name: str) -> None:
    assert re.search(rf"`{name}[`(]", PAGE)


def test_the_tests_that_the_reference_names_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", PAGE)
    assert named
    missing = [
        f"{file}::{test}"
        for file, test in named
        if file not in TESTS or (test and f"def {test}(" not in TESTS[file].read_text())
    ]
    assert missing == []
