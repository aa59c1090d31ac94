"""A freeze that has the true content at hand does not build on damaged objects."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hotswap.digest import stat_key
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource, _folder
from hotswap.store import Store

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


def damage(folder: Path, snapshot: Snapshot, data: str) -> None:
    """Write something else into the object of the first file, as a failing disk or a careless hand may."""
    digest = snapshot.files[0].digest
    place = folder / "objects" / digest[:2] / digest[2:]
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


def test_an_object_of_another_size_is_mended_before_it_is_linked_into_a_new_tree(
    folder: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_folder, "stat_key", lambda path, found, now: stat_key(path, found, now + HOUR_NS))
    damage(folder, Store(folder).freeze(TreeSource(package)), "x = 10000\n")
    (package / "new.py").touch()
    store = Store(folder)
    frozen = store.freeze(TreeSource(package))
    assert store.verify(frozen.id) == []
