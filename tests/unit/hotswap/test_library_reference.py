"""What docs/reference/hotswap.md says is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hotswap
from benchmarks.suite import BENCHMARKS

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


def test_every_promise_says_what_shows_it() -> None:
    rows = re.findall(r"^\| (.+?) \|(.*)\|$", PAGE.partition("## What shows it")[2], re.MULTILINE)
    assert len(rows) > 30
    assert [promise for promise, shown_by in rows if not shown_by.strip()] == []


def test_the_figures_that_the_reference_names_are_measured() -> None:
    figures = {name for benchmark in BENCHMARKS.values() for name in benchmark.names}
    shown = "\n".join(re.findall(r"`make bench`: (.*)$", PAGE, re.MULTILINE))
    assert set(re.findall(r"`([a-z0-9]+_[a-z0-9_]+)`", shown)) <= figures
