"""What ``hotswap freeze`` does where something is missing or broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hotswap.cli import main


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package outside of git, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_lab"
    folder.mkdir()
    (folder / "__init__.py").write_text("x = 1\n")
    return folder


def freeze(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["freeze", "my_lab", *arguments])
    assert result.exit_code == code, result.output
    return result


def without_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "hotswap.cli", *arguments)
    nowhere = {**os.environ, "PATH": "/nonexistent"}
    return subprocess.run(command, env=nowhere, capture_output=True, text=True, check=False)


@pytest.mark.system
def test_a_plain_folder_is_frozen_where_there_is_no_git(package: Path) -> None:
    done = without_git("freeze", "my_lab")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "frozen 1 file of my_lab, 6 B, from no commit\n"


@pytest.mark.system
def test_a_commit_cannot_be_frozen_without_git(package: Path) -> None:
    done = without_git("freeze", "my_lab", "--rev", "HEAD")
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no git program")
    assert done.stderr.count("\n") == 1


def test_files_that_do_not_compile_are_told_and_frozen(package: Path) -> None:
    for number in range(5):
        (package / f"part{number}.py").write_text("good = 1\nno Python\n")
    first, again = freeze(), freeze()
    warnings = [line for line in first.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings[0] == "warning: my_lab/part0.py, line 2, does not compile: invalid syntax"
    assert len(warnings) == 3
    assert again.stderr.startswith(warnings[0])
    assert "frozen 6 files" in first.stderr


def test_good_code_gives_no_warning(package: Path) -> None:
    assert "warning" not in freeze().stderr


def test_a_store_inside_the_package_is_refused_by_name(package: Path) -> None:
    told = freeze("--store", "my_lab/kept", code=2).stderr
    assert told.endswith("is inside the package that is frozen: choose another folder with --store.\n")
    assert [path.name for path in package.iterdir()] == ["__init__.py"], "a store that was begun would be frozen next"
    assert freeze("--store", "kept").exit_code == 0


def test_a_folder_around_the_package_is_told(package: Path) -> None:
    (package / "__init__.py").rename(package / "inner.py")
    assert "warning: my_lab has no __init__.py: is the package a folder in it?\n" in freeze().stderr


@pytest.mark.parametrize(("command", "code"), [("diff", 0), ("why", 1)])
def test_a_comparison_tells_of_classes_that_cannot_be_read(package: Path, command: str, code: int) -> None:
    (package / "furnace.py").write_text("class Furnace: pass\n")
    good = freeze().stdout.strip()
    (package / "furnace.py").write_text("class Furnace: pass\nno Python\n")
    broken = freeze().stdout.strip()
    names = ["my_lab.furnace:Furnace"] if command == "why" else []
    told = CliRunner().invoke(main, [command, good, broken, *names])
    assert told.exit_code == code, told.output
    because = "my_lab/furnace.py, line 2, does not compile: invalid syntax"
    assert told.stderr == f"warning: in {broken[:12]}, {because}; its classes count as absent\n"
