"""A freeze that has the true content at hand does not build on damaged objects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hotswap.digest import stat_key
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource, _folder
from hotswap.store import Store
from hotswap.store._objects import Objects

HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "my_lab"
    folder.mkdir()
    (folder / "__init__.py").write_text("x = 1\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was frozen is read again: it changed long ago."""
    monkeypatch.setattr(_folder, "stat_key", lambda path, found, now: stat_key(path, found, now + HOUR_NS))


def object_of(folder: Path, snapshot: Snapshot) -> Path:
    """Where the content of the first file is."""
    digest = snapshot.files[0].digest
    return folder / "objects" / digest[:2] / digest[2:]


def damage(folder: Path, snapshot: Snapshot, data: str) -> None:
    """Write something else into the object of the first file, as a failing disk or a careless hand may."""
    place = object_of(folder, snapshot)
    place.chmod(0o644)
    place.write_text(data)
    place.chmod(0o444)


def test_what_is_read_again_mends_a_damaged_object(folder: Path, package: Path) -> None:
    damage(folder, Store(folder).freeze(TreeSource(package)), "x = 9\n")
    shutil.rmtree(folder / "cache")
    (package / "new.py").touch()
    store = Store(folder)
    frozen = store.freeze(TreeSource(package))
    assert (store.tree(frozen.id) / "my_lab" / "__init__.py").read_text() == "x = 1\n"
    assert store.verify(frozen.id) == []


@pytest.mark.parametrize("data", ["x = 9\n", "x = 10000\n"], ids=["same-size", "other-size"])
def test_an_object_that_was_written_to_is_mended_before_it_is_linked_into_a_new_tree(
    folder: Path, package: Path, quiet: None, data: str
) -> None:
    damage(folder, Store(folder).freeze(TreeSource(package)), data)
    (package / "new.py").touch()
    store = Store(folder)
    frozen = store.freeze(TreeSource(package))
    assert store.verify(frozen.id) == []


def test_an_object_whose_time_does_not_tell_is_read_once(
    folder: Path, package: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a store that was copied."""
    store = Store(folder)
    place = object_of(folder, store.freeze(TreeSource(package)))
    os.utime(place)
    read: list[str] = []
    monkeypatch.setattr(Objects, "damage", lambda _, digest: read.append(digest))
    for name in ("one.py", "other.py"):
        (package / name).touch()
        store.freeze(TreeSource(package))
    assert read.count(place.parent.name + place.name) == 1
