"""The commands that look after a store: collect, hold, release, and verify with repair."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from forgetful_disk import unhurried
from held_source import EMPTY, version

from hotswap.archive import export
from hotswap.cli import main
from hotswap.generations import FileGenerations
from hotswap.store import Retention, Store
from hotswap.worker.live import held_for


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with unhurried():
        yield


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Three versions, used in 1970 for the last time, in the default place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    store = Store(Path("snapshots"))
    for number in range(3):
        store.freeze(version(number), EMPTY)
    forget_use(store)
    return store


def forget_use(store: Store) -> None:
    for manifest in (store.root / "manifests").iterdir():
        os.utime(manifest, (0, 0))


def ids(store: Store) -> list[str]:
    return [one.id for one in store.list()]


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def facts(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_collecting_says_what_goes_and_why(store: Store) -> None:
    newest, *_ = ids(store)
    would = run("collect", "--keep-last", "1", "--dry-run")
    assert "would go" in would.stdout
    assert "2 snapshots would be collected" in would.stdout
    assert len(store.list()) == 3
    did = run("collect", "--keep-last", "1")
    assert "among the 1 newest of my_lab" in did.stdout
    assert "nothing refers to it" in did.stdout
    assert "2 snapshots were collected" in did.stdout
    assert ids(store) == [newest]
    assert "Nothing to collect." in run("collect", "--keep-last", "1").stdout


def test_without_options_the_policy_is_that_of_the_library() -> None:
    told = {option.name: option.default for option in main.commands["collect"].params}
    assert Retention() == Retention(told["keep_last"], told["keep_days"])


def test_a_reference_may_be_short(store: Store) -> None:
    oldest = ids(store)[-1]
    decisions = facts("collect", "--keep-last", "0", "--keep-days", "0", "--reference", oldest[:12])
    assert [(one["snapshot"], one["reason"]) for one in decisions if one["keep"]] == [(oldest, "referred to")]
    assert ids(store) == [oldest]


def test_what_is_current_for_an_application_is_kept(store: Store) -> None:
    oldest = ids(store)[-1]
    FileGenerations(store.root, "my_lab").promote(
        oldest, expected=None, commit=None, dirty=True, environment="", actor="Ada", reason="first"
    )
    decisions = facts("collect", "--keep-last", "0", "--keep-days", "0")
    assert [one["reason"] for one in decisions if one["keep"]] == ["current for my_lab"]


def test_the_store_of_a_laboratory_is_left_to_it(store: Store) -> None:
    store.claim("the laboratory north", "lab collect")
    result = run("collect", code=2)
    assert "belongs to the laboratory north" in result.stderr
    assert "run `lab collect`" in result.stderr
    assert len(store.list()) == 3


def test_what_is_held_is_kept_and_shown(store: Store) -> None:
    oldest = ids(store)[-1]
    assert "is held for 'paper 12'." in run("hold", oldest[:12], "--reason", "paper 12").stdout
    assert facts("hold", oldest, "--reason", "the audit") == {"snapshot": oldest, "holds": ["paper 12", "the audit"]}
    forget_use(store)
    assert "held for 'paper 12' and 'the audit'" in run("collect", "--keep-last", "0").stdout
    assert "paper 12" in run("list").stdout
    assert "paper 12" in run("show", oldest).stdout
    assert "'paper 12'" in run("release", oldest, "--reason", "paper 12").stdout
    assert facts("release", oldest) == ["the audit"]
    assert "It was not held." in run("release", oldest, code=1).stdout
    assert "It was not held for 'x'." in run("release", oldest, "--reason", "x", code=1).stdout


def test_of_several_holds_one_has_to_be_named(store: Store) -> None:
    name = ids(store)[0]
    for reason in ("paper 12", "the audit"):
        store.hold(name, reason)
    assert "is held for 'paper 12' and 'the audit'" in run("release", name, code=2).stderr
    assert store.holds(name) == ("paper 12", "the audit")


def test_the_hold_of_a_worker_is_dropped_only_by_its_name(store: Store) -> None:
    name = ids(store)[0]
    store.hold(name, held_for("my_app"))
    assert "name the hold with --reason" in run("release", name, code=2).stderr
    assert facts("release", name, "--reason", held_for("my_app")) == [held_for("my_app")]


def test_a_hold_without_a_reason_is_refused(store: Store) -> None:
    assert "Missing option '--reason'" in run("hold", ids(store)[0], code=2).stderr
    assert "needs a reason" in run("hold", ids(store)[0], "--reason", " ", code=2).stderr


def damage(store: Store, path: str) -> None:
    file = store.root / "trees" / ids(store)[0] / path
    file.chmod(0o644)
    file.write_bytes(b"changed")
    file.chmod(0o444)


def test_a_damaged_tree_is_repaired_on_demand(store: Store) -> None:
    damage(store, "my_lab/shared.txt")
    assert "my_lab/shared.txt" in run("verify", code=1).stdout
    assert "All damage was repaired (1 found)" in run("verify", "--repair").stdout
    assert "All content is as it was frozen." in run("verify").stdout


def test_a_damaged_object_is_repaired_from_an_archive(store: Store, tmp_path: Path) -> None:
    export(store, ids(store)[0], tmp_path / "backup.tar")
    damage(store, "my_lab/__init__.py")
    assert facts("verify", "--repair", code=1)[0]["path"] == "my_lab/__init__.py"
    assert facts("verify", "--repair-from", str(tmp_path / "backup.tar")) == []
    assert store.verify() == []


def test_an_archive_that_is_none_is_told_though_nothing_is_damaged(store: Store, tmp_path: Path) -> None:
    (tmp_path / "backup.tar").write_bytes(b"none")
    assert "backup.tar" in run("verify", "--repair-from", str(tmp_path / "backup.tar"), code=2).stderr


def test_how_long_ago_a_snapshot_may_have_been_used_can_be_told(store: Store) -> None:
    forever = str(365 * 1000)
    assert {one["keep"] for one in facts("collect", "--keep-last", "0", "--keep-days", forever)} == {True}
    assert {one["keep"] for one in facts("collect", "--keep-last", "0", "--keep-days", "1")} == {False}
