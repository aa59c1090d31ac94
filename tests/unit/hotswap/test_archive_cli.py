"""Moving snapshots, and looking at them, from the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hotswap.cli import main
from hotswap.environment import Environment
from hotswap.source import TreeSource
from hotswap.store import Store

FURNACE = "class Furnace:\n    heat = 900\n"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def facts(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").write_text("")
    (tmp_path / "my_lab" / "devices.py").write_text(FURNACE)
    return tmp_path / "my_lab"


@pytest.fixture
def store(package: Path) -> Store:
    return Store(Path("snapshots"))


@pytest.fixture
def identity(store: Store, package: Path) -> str:
    return store.freeze(TreeSource(package), Environment("cp311")).id


@pytest.fixture
def two(store: Store, package: Path, identity: str) -> tuple[str, str]:
    (package / "devices.py").write_text(FURNACE.replace("900", "950"))
    return identity, store.freeze(TreeSource(package), Environment("cp311")).id


def test_a_snapshot_moves_to_another_store(identity: str) -> None:
    told = run("export", identity[:8], "version.tar").stdout
    assert told.startswith("wrote 2 files of my_lab to version.tar, ")
    imported = run("import", "version.tar", "--store", "other")
    assert imported.stdout == f"{identity}\n"
    assert imported.stderr == "imported 2 files of my_lab, 30 B\n"
    again = run("import", "version.tar", "--store", "other")
    assert (again.stdout, again.stderr) == (f"{identity}\n", "already in the store, nothing written\n")
    assert run("verify", "--store", "other").stdout == "All content is as it was frozen.\n"


def test_moving_tells_facts(identity: str) -> None:
    exported = facts("export", identity, "version.tar")
    assert exported["bytes"] == Path("version.tar").stat().st_size
    assert (exported["id"], exported["path"], exported["files"]) == (identity, "version.tar", 2)
    imported = facts("import", "version.tar", "--store", "other")
    assert (imported["id"], imported["new"]) == (identity, True)


def test_an_imported_snapshot_is_held_for_a_reason(identity: str) -> None:
    run("export", identity, "version.tar")
    run("import", "version.tar", "--store", "other", "--hold", "figure 3")
    assert facts("show", identity, "--store", "other")["holds"] == ["figure 3"]
    assert "figure 3" in run("show", identity, "--store", "other").stdout
    assert facts("list", "--store", "other")[0]["holds"] == ["figure 3"]
    assert "figure 3" in run("list", "--store", "other").stdout


def test_the_files_are_checked_out_with_a_word_on_how_to_go_on(identity: str, package: Path) -> None:
    (package / "devices.py").write_text("changed\n")
    result = run("checkout", identity, "out")
    assert result.stdout == "wrote 2 files of my_lab to out\n"
    (told,) = result.stderr.splitlines()
    command = told.removeprefix("to compare: ").split()
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "-    heat = 900" in shown.stdout
    assert "+changed" in shown.stdout
    assert facts("checkout", identity, "again")["path"] == "again"


def test_classes_that_behave_differently_are_told(two: tuple[str, str]) -> None:
    (change,) = facts("diff", *two)["definitions"]
    assert change[0] == "my_lab.devices:Furnace"
    assert change[1] != change[2]
    assert "class changed" in run("diff", *two).stdout


def test_the_difference_may_be_asked_of_one_class(two: tuple[str, str]) -> None:
    (change,) = facts("diff", *two, "--class", "my_lab.devices:Furnace")["definitions"]
    assert change[0] == "my_lab.devices:Furnace"
    assert "Neither snapshot has a class" in run("diff", *two, "--class", "nowhere:Furnace", code=2).stderr


def test_registrations_are_left_out_on_request(store: Store, package: Path) -> None:
    root = "from registry import add\nfrom my_lab.devices import Furnace\nadd(Furnace(%s))\n"
    before, after = [], []
    for kept, heat in ((before, 1), (after, 2)):
        (package / "__init__.py").write_text(root % heat)
        kept.append(store.freeze(TreeSource(package), Environment("cp311")).id)
    assert facts("diff", *before, *after)["definitions"]
    assert facts("diff", *before, *after, "--registration", "registry.add")["definitions"] == []


def test_names_are_shown_as_they_are(store: Store, package: Path) -> None:
    (package / "[draft] notes.txt").write_text("")
    identity = store.freeze(TreeSource(package), Environment("cp311")).id
    assert "[draft] notes.txt" in run("show", identity).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("export", "ffff", "version.tar"), "No snapshot"),
        (("import", "nothing.tar"), "The archive nothing.tar cannot be read"),
        (("import", "my_lab/devices.py"), "The archive my_lab/devices.py is refused"),
        (("checkout", "ffff", "out"), "No snapshot"),
    ],
)
def test_errors_are_one_sentence_with_exit_code_2(
    package: Path, identity: str, arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(*arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1


def test_a_folder_with_something_in_it_is_refused(identity: str) -> None:
    assert "The folder my_lab is not empty" in run("checkout", identity, "my_lab", code=2).stderr


@pytest.mark.parametrize("command", ["export", "import", "checkout"])
def test_every_command_teaches_with_an_example(command: str) -> None:
    assert f"hotswap {command}" in run(command, "--help").stdout.partition("\n")[2]
