"""The files of a snapshot, in a folder to work on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotswap.checkout import checkout
from hotswap.environment import Environment
from hotswap.errors import DamagedError, StoreError, UnknownSnapshotError
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store

CONTENTS = {"__init__.py": b"x = 1\n", "data/values.json": b"[]", "run.sh": b"#!/bin/sh\n"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def snapshot(store: Store, tmp_path: Path) -> Snapshot:
    package = tmp_path / "my_lab"
    for name, data in CONTENTS.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(data)
    (package / "run.sh").chmod(0o755)
    return store.freeze(TreeSource(package), Environment("cp311"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_are_written_and_nothing_else(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    assert checkout(store, snapshot.short_id, tmp_path / "out") == snapshot
    assert files(tmp_path / "out" / "my_lab") == CONTENTS
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["my_lab"]


def test_they_may_be_changed_and_the_snapshot_stays(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    checkout(store, snapshot.id, tmp_path / "out")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {"__init__.py": 0o644, "values.json": 0o644, "run.sh": 0o755}
    for name in CONTENTS:
        (tmp_path / "out" / "my_lab" / name).write_bytes(b"changed")
    assert store.verify() == []


def test_what_was_checked_out_freezes_to_the_same_id(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    checkout(store, snapshot.id, tmp_path / "out")
    assert store.freeze(TreeSource(tmp_path / "out" / "my_lab"), Environment("cp311")).id == snapshot.id


def test_an_empty_folder_is_filled(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    checkout(store, snapshot.id, tmp_path / "link")
    assert files(tmp_path / "out" / "my_lab") == CONTENTS
    assert (tmp_path / "link").is_symlink()


def test_a_folder_that_is_not_empty_is_left_alone(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="out is not empty: choose a new or empty one"):
        checkout(store, snapshot.id, tmp_path / "out")
    assert files(tmp_path / "out") == {"mine.txt": b"mine"}


def test_what_is_no_folder_is_left_alone(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StoreError, match="out is not a folder"):
        checkout(store, snapshot.id, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_current_folder_is_not_replaced_under_the_feet_of_the_shell(
    store: Store, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(StoreError, match=r"\. is the folder that you are in"):
        checkout(store, snapshot.id, Path())
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("place", ["nowhere/out", "my_lab/run.sh/out", "n" * 300])
def test_a_place_that_cannot_be_filled_is_refused(store: Store, snapshot: Snapshot, tmp_path: Path, place: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=f"{place} cannot be filled"):
        checkout(store, snapshot.id, tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


def test_of_a_damaged_snapshot_nothing_is_written(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    entry = snapshot.file("my_lab/run.sh")
    assert entry is not None
    (store.root / "objects" / entry.digest[:2] / entry.digest[2:]).unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DamagedError):
        checkout(store, snapshot.id, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_an_unknown_snapshot_is_told(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(UnknownSnapshotError):
        checkout(store, "0" if snapshot.id[0] != "0" else "1", tmp_path / "out")


def test_progress_is_told(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    checkout(store, snapshot.id, tmp_path / "out", lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
