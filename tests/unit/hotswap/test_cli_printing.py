"""Tables: ids are never cut, whatever the width."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hotswap.cli._common import new_table, one_line, print_table

ID, MESSAGE = "3f9a81cc0123", "A message that goes on and on, far beyond what fits"


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    table = new_table("snapshot", "frozen at", "message", wrap=("message",))
    table.add_row(ID, "2026-05-04 10:11", one_line(f"{MESSAGE}\n\nand a body"))
    print_table(table)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)


def test_nothing_is_cut_where_the_output_is_piped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert shown(capsys)[-1].split("  ") == [ID, "2026-05-04 10:11", MESSAGE]


@pytest.mark.usefixtures("terminal")
def test_on_a_narrow_terminal_a_message_ends_in_an_ellipsis(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    last = shown(capsys)[-1]
    assert ID in last
    assert "2026-05-04 10:11" in last
    assert "\u2026" in last
    assert MESSAGE not in last


@pytest.mark.usefixtures("terminal")
def test_an_id_is_whole_even_where_nothing_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert ID in "".join(shown(capsys))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.system
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    (tmp_path / "manifests").mkdir()
    command = [sys.executable, "-m", "hotswap.cli", "list", "--store", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    told = "error: The disk that the output goes to is full: free some space and try again.\n"
    assert (done.returncode, done.stderr) == (2, told)
