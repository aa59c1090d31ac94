"""What docs/reference/parity.md says is shown: by tests that exist, or with a reason why not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reference" / "parity.md").read_text()
ROWS = re.findall(r"^\| (?!AlabOS \|)(.+?) \| (.*?) ?\|(.*)\|$", PAGE, re.MULTILINE)
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
REASON = re.compile(r"^(none|not yet)\b[^:]*: \w+ \w+")


def defined() -> set[tuple[str, str]]:
    """Every test there is, with the name of its file; several files may have one name."""
    return {
        (path.name, test)
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }


def test_the_tests_that_the_page_names_exist() -> None:
    named = set(NAMED.findall(PAGE))
    assert len(named) > 100
    assert named - defined() == set()


def test_every_test_is_named_with_its_file() -> None:
    assert len(re.findall(r"test_\w+\.py", PAGE)) == len(NAMED.findall(PAGE))


def test_every_row_has_our_name_and_a_test_or_a_reason() -> None:
    assert len(ROWS) > 100
    assert [there for there, here, _ in ROWS if not here.strip()] == []
    assert [there for there, _, shown in ROWS if not (NAMED.search(shown) or REASON.match(shown.strip()))] == []


def test_what_is_not_there_says_why() -> None:
    absent = [(there, shown.strip()) for there, here, shown in ROWS if here.strip() == "none"]
    assert absent
    assert [there for there, shown in absent if not REASON.match(shown)] == []
