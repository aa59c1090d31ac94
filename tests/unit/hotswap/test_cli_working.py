"""``hotswap promote | current | generations | completion``, as far as no process is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hotswap.cli import main
from hotswap.generations import FileGenerations
from hotswap.source import TreeSource
from hotswap.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that the commands find by themselves, with a snapshot of a package in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "my_app").mkdir()
    (tmp_path / "my_app" / "__init__.py").touch()
    store = Store(tmp_path / "snapshots")
    store.freeze(TreeSource(tmp_path / "my_app"))
    return store


@pytest.fixture
def current(store: Store) -> str:
    """The snapshot, current as generation 1 of my_app."""
    (snapshot,) = store.list()
    FileGenerations(store.root, "my_app").promote(
        snapshot.id, expected=None, commit=None, dirty=True, environment="e", actor="mira", reason="it is the first"
    )
    return snapshot.id


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def complete(line: str) -> list[str]:
    """What bash would offer at the end of the line."""
    variables = {
        "_HOTSWAP_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    result = CliRunner().invoke(main, [], prog_name="hotswap", env=variables)
    return [offer.partition(",")[2] for offer in result.stdout.splitlines() if offer]


def test_the_current_snapshot_is_printed_alone(current: str) -> None:
    assert run("current").stdout == run("current", "my_app").stdout == f"{current}\n"
    assert json.loads(run("current", "--json").stdout)["number"] == 1


def test_the_history_tells_who_and_why(current: str) -> None:
    assert [part in run("generations").stdout for part in (current[:12], "mira", "it is the first")] == [True] * 3
    assert [one["snapshot"] for one in json.loads(run("generations", "my_app", "--json").stdout)] == [current]


def test_promoting_what_is_current_changes_nothing(store: Store, current: str) -> None:
    assert run("promote", current[:8]).stdout == f"generation 1 of my_app is {current[:12]}\n"
    assert len(FileGenerations(store.root, "my_app").history()) == 1


def test_promoting_what_was_current_before_is_told_as_going_back(
    store: Store, current: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_app" / "__init__.py").write_text("x = 1\n")
    newer = store.freeze(TreeSource(tmp_path / "my_app")).id
    checked = []
    monkeypatch.setattr("hotswap.worker.live.check", lambda _store, identity, _limits: checked.append(identity))
    run("promote", newer)
    assert json.loads(run("promote", current, "--json").stdout)["rolled_back_to"] == 1
    assert "(as generation 1)" in run("generations").stdout
    assert checked == [newer, current]
    assert all(store.holds(one) for one in (newer, current))


def test_promoting_what_is_not_there_is_refused(current: str) -> None:
    assert "No snapshot" in run("promote", "zz", code=2).stderr


@pytest.mark.parametrize("command", ["current", "generations"])
def test_without_a_promotion_the_way_to_one_is_told(store: Store, command: str) -> None:
    assert "start `hotswap worker` first" in run(command, code=2).stderr


def test_of_several_applications_one_has_to_be_named(store: Store, current: str) -> None:
    FileGenerations(store.root, "other").promote(
        current, expected=None, commit=None, dirty=True, environment="e", actor="mira", reason="test"
    )
    assert "it has my_app, other" in run("current", code=2).stderr
    assert run("current", "other").stdout == f"{current}\n"


def test_an_application_without_a_version_is_one_sentence(store: Store, current: str) -> None:
    for command in ("current", "generations"):
        told = run(command, "nothing", code=2).stderr
        assert "Nothing is current" in told
        assert "it has my_app" in told


def test_a_reason_that_only_repeats_the_commit_is_left_out(store: Store) -> None:
    (snapshot,) = store.list()
    FileGenerations(store.root, "my_app").promote(
        snapshot.id,
        expected=None,
        commit="5e1f0c2ab9d4" * 3,
        dirty=False,
        environment="e",
        actor="mira",
        reason="commit 5e1f0c2ab9d4",
    )
    shown = run("generations").stdout
    assert "5e1f0c2" in shown
    assert "reason" not in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_asks_hotswap(shell: str) -> None:
    script = run("completion", shell).stdout
    assert f"_HOTSWAP_COMPLETE={shell}_complete" in script


def test_a_shell_completes_ids_from_the_store(store: Store, current: str) -> None:
    assert complete("hotswap promote ") == complete(f"hotswap promote {current[:3]}") == [current[:12]]
    assert complete("hotswap promote zz") == []


IDS = {"snapshot", "before", "after"}


@pytest.mark.parametrize("command", [one.name for one in main.commands.values() if IDS & {p.name for p in one.params}])
def test_every_command_that_takes_an_id_completes_it(store: Store, current: str, command: str) -> None:
    assert complete(f"hotswap {command} ") == [current[:12]]


def test_a_shell_completes_commands_options_and_applications(current: str) -> None:
    assert complete("hotswap gen") == ["generations"]
    assert complete("hotswap worker --thr") == ["--threads"]
    assert complete("hotswap current m") == ["my_app"]


def test_a_shell_looks_into_the_store_that_the_line_names(store: Store, current: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert complete(f"hotswap promote --store {elsewhere} ") == []
    assert complete(f"hotswap promote --store {store.root} ") == [current[:12]]
