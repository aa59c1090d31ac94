"""Freezing tells how far it is, to a callback and on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hotswap.cli import main
from hotswap.environment import Environment
from hotswap.source import TreeSource
from hotswap.store import Store


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "my_lab"
    folder.mkdir()
    for name in ("__init__.py", "a.py", "peaks.csv"):
        (folder / name).write_text(f"# {name}\n")
    return folder


def test_each_file_is_told(package: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    Store(tmp_path / "store").ensure(
        TreeSource(package), Environment("cp311"), progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("terminal", "shown"), [("1", True), (None, False)])
def test_only_a_terminal_is_shown_a_bar(package: Path, tmp_path: Path, terminal: str | None, shown: bool) -> None:
    arguments = ["freeze", str(package), "--store", str(tmp_path / "store")]
    done = CliRunner(env={"FORCE_COLOR": terminal, "TERM": "xterm"}).invoke(main, arguments)
    assert done.exit_code == 0
    assert ("reading" in done.stderr) is shown
    assert done.stdout.strip() == Store(tmp_path / "store").list()[0].id
