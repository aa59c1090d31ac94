"""The command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hotswap.cli import main
from hotswap.store import Store


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@lab.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed package, with its repository as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write(tmp_path / ".gitignore", "snapshots/\n")
    write(tmp_path / "my_lab" / "__init__.py", "x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Start\n\nbody")
    return tmp_path / "my_lab"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def facts(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def two(package: Path) -> tuple[str, str]:
    """The ids of two snapshots that differ by one line."""
    first = facts("freeze", "my_lab")["id"]
    write(package / "__init__.py", "x = 2\n")
    return first, facts("freeze", "my_lab")["id"]


def test_freezing_prints_the_id_and_nothing_else_on_standard_output(package: Path) -> None:
    result = run("freeze", "my_lab")
    (snapshot,) = Store(Path("snapshots")).list()
    assert result.stdout == f"{snapshot.id}\n"
    assert result.stderr.startswith("frozen 1 file of my_lab, 6 B, from commit ")


def test_freezing_again_says_so(package: Path) -> None:
    first = run("freeze", "my_lab")
    again = run("freeze", "my_lab")
    assert again.stdout == first.stdout
    assert again.stderr == "already frozen, nothing written\n"


def test_uncommitted_changes_are_told(package: Path) -> None:
    write(package / "__init__.py", "x = 2\n")
    assert "with uncommitted changes" in run("freeze", "my_lab").stderr


def test_a_revision_is_frozen_whatever_is_on_disk(package: Path) -> None:
    clean = facts("freeze", "my_lab")
    write(package / "__init__.py", "half sav")
    committed = facts("freeze", "my_lab", "--rev", "HEAD")
    assert committed["id"] == clean["id"]
    assert (clean["new"], committed["new"]) == (True, False)
    assert committed["origin"]["message"] == "Start\n\nbody"
    assert not committed["origin"]["dirty"]


def test_a_second_clone_gets_the_same_id(package: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", ".", "clone")
    assert facts("freeze", "clone/my_lab")["id"] == facts("freeze", "my_lab")["id"]


def test_extra_packages_are_frozen_beside(package: Path, tmp_path: Path) -> None:
    write(tmp_path / "libs" / "shared" / "__init__.py", "")
    assert facts("freeze", "my_lab", "--extra", "libs/shared")["files"] == 2
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Add shared")
    assert not facts("freeze", "my_lab", "--extra", "libs/shared", "--rev", "HEAD")["new"]


def test_the_store_is_an_option_or_an_environment_variable(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("freeze", "my_lab", "--store", "here")
    monkeypatch.setenv("HOTSWAP_STORE", "there")
    run("freeze", "my_lab")
    assert Path("here/manifests").exists()
    assert Path("there/manifests").exists()
    assert not Path("snapshots").exists()


def test_snapshots_are_listed_newest_first(two: tuple[str, str]) -> None:
    assert [one["id"] for one in facts("list")] == [two[1], two[0]]
    shown = run("list").stdout
    assert shown.index(two[1][:12]) < shown.index(two[0][:12])
    assert "Start" in shown
    assert "(dirty)" in shown


def test_an_empty_store_says_what_to_do(package: Path) -> None:
    Path("snapshots/manifests").mkdir(parents=True)
    assert "make one with `hotswap freeze`" in run("list").stdout
    assert facts("list") == []


def test_a_snapshot_is_shown_by_a_prefix_of_its_id(two: tuple[str, str]) -> None:
    shown = facts("show", two[0][:10])
    assert shown["id"] == two[0]
    assert [path for path, *_ in shown["files"]] == ["my_lab/__init__.py"]
    assert "my_lab/__init__.py" in run("show", two[0]).stdout


def test_two_snapshots_are_compared(two: tuple[str, str]) -> None:
    found = {"added": [], "removed": [], "changed": ["my_lab/__init__.py"], "environment": [], "definitions": []}
    assert facts("diff", *two) == found
    assert "-x = 1\n+x = 2\n" in facts("diff", *two, "--patch")["patch"]
    shown = run("diff", *two, "--patch").stdout
    assert "changed" in shown
    assert "-x = 1\n+x = 2\n" in shown
    assert run("diff", two[0], two[0]).stdout == "There is no difference.\n"


def test_a_sound_store_is_verified(two: tuple[str, str]) -> None:
    assert facts("verify") == []
    assert run("verify", two[0]).stdout == "All content is as it was frozen.\n"


def test_damage_is_told_with_exit_code_1(two: tuple[str, str]) -> None:
    path = Store(Path("snapshots")).tree(two[0]) / "my_lab" / "__init__.py"
    path.chmod(0o644)
    path.write_text("x = 9\n")
    path.chmod(0o444)
    what = "its object does not hash to its name"
    assert facts("verify", code=1) == [{"snapshot": two[0], "path": "my_lab/__init__.py", "what": what}]
    assert what in run("verify", code=1).stdout
    assert facts("verify", two[1]) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("freeze", "nowhere"), "There is no folder"),
        (("freeze", "my_lab", "--rev", "v9"), "has no commit 'v9'"),
        (("freeze", "nowhere/at/all", "--rev", "HEAD"), "has no folder nowhere/at/all"),
        (("freeze", "my_lab", "--rev", "HEAD", "--extra", "/"), "/ is not in the repository"),
        (("show", "ffff"), "No snapshot"),
        (("show", ""), "Give the id of a snapshot"),
        (("list", "--store", "my_lab"), "There is no store in my_lab"),
        (("verify", "--store", "gone"), "There is no store in gone"),
        (("collect", "--store", "gone"), "There is no store in gone"),
        (("freeze", "my_lab", "--store", "my_lab/kept"), "my_lab/kept is inside the package"),
        (("diff", "ffff", "eeee"), "No snapshot"),
        (("verify", "ffff"), "No snapshot"),
    ],
)
def test_errors_are_one_sentence_with_exit_code_2(
    two: tuple[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(*arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr


def test_a_worker_begins_no_store_in_the_folder_whose_saves_it_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "my_app" / "__init__.py", "")
    monkeypatch.chdir(tmp_path / "my_app")
    told = run("worker", ".", "--broker", "redis://localhost:1/0", code=2).stderr
    assert (
        told == "error: The store snapshots is inside the package that is frozen: choose another folder with --store.\n"
    )
    assert [path.name for path in Path().iterdir()] == ["__init__.py"]


def test_local_packages_of_a_commit_are_left_out_on_demand(package: Path) -> None:
    write(package / "__init__.py", "import our_helper\n")
    write(package.parent / "our_helper.py", "")
    git(package.parent, "add", "-A")
    git(package.parent, "commit", "-q", "-m", "Use a helper")
    assert "of my_lab and our_helper," in run("freeze", "my_lab", "--rev", "HEAD").stderr
    assert "of my_lab," in run("freeze", "my_lab", "--rev", "HEAD", "--no-local").stderr


def test_a_package_that_is_gone_from_the_disk_is_frozen_from_its_commit(package: Path) -> None:
    shutil.rmtree(package)
    assert "frozen 1 file of my_lab" in run("freeze", "my_lab", "--rev", "HEAD").stderr


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_teaches_with_an_example(command: str) -> None:
    assert f"hotswap {command}" in run(command, "--help").stdout.partition("\n")[2]


@pytest.mark.parametrize("command", sorted(main.commands.keys() - {"completion"}))
def test_every_command_on_a_store_takes_its_folder_and_tells_facts_as_json(command: str) -> None:
    assert {"--store", "--json"} <= {option for one in main.commands[command].params for option in one.opts}


def test_every_command_that_ends_prints_json(two: tuple[str, str], tmp_path: Path) -> None:
    old, new = two
    archive = str(tmp_path / "old.tar")
    for arguments, code in (
        (("list",), 0),
        (("show", old), 0),
        (("env", old), 0),
        (("diff", old, new), 0),
        (("verify",), 0),
        (("hold", old, "--reason", "paper"), 0),
        (("release", old), 0),
        (("release", old), 1),
        (("collect", "--dry-run"), 0),
        (("export", old, archive), 0),
        (("import", archive), 0),
        (("checkout", old, str(tmp_path / "out")), 0),
    ):
        assert facts(*arguments, code=code) is not None


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_help_fits_a_terminal_and_breaks_off_no_sentence(command: str) -> None:
    usage, *lines = run(*command.split(), "--help").stdout.splitlines()
    assert usage.startswith("Usage: ")
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []


def test_help_does_not_load_what_it_does_not_need() -> None:
    heavy = ("git", "rich", "importlib_metadata")
    code = f"import sys, hotswap.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
