"""What the system does not let us read is named in one sentence, whatever is asked of a store."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from forgetful_disk import unhurried
from held_source import CODE, EMPTY, Held

from hotswap.checkout import checkout
from hotswap.errors import StoreError
from hotswap.store import Store

ASKED: dict[str, Callable[[Store, str], object]] = {
    "open": Store.open,
    "resolve": Store.resolve,
    "tree": Store.tree,
    "read": lambda store, one: store.read(one, "my_lab/furnace.py"),
    "use": lambda store, one: store.use(one).__enter__(),
    "hold": lambda store, one: store.hold(one, "paper 12"),
    "release": Store.release,
    "holds": Store.holds,
    "list": lambda store, _: store.list(),
    "verify": lambda store, _: store.verify(),
    "collect": lambda store, _: store.collect(dry_run=True),
    "checkout": lambda store, one: checkout(store, one, store.root.parent / "out"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with unhurried():
        yield Store(tmp_path / "store")


@contextmanager
def barred(place: Path) -> Iterator[None]:
    """The system refuses to look at what lies at or below ``place``, as it does to one who may not; root may all."""

    def refusing(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(path: object, *arguments: object, **named: object) -> object:
            if isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(place):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return call(path, *arguments, **named)

        return wrapper

    calls: dict[str, Any] = {name: refusing(getattr(os, name)) for name in ("open", "listdir", "scandir")}
    with patch.multiple(os, **calls), patch("io.open", refusing(open)):
        yield


@pytest.mark.parametrize("way", ASKED)
def test_a_folder_of_manifests_that_cannot_be_read_is_named(store: Store, way: str) -> None:
    snapshot = store.freeze(Held(CODE), EMPTY)
    folder = store.root / "manifests"
    with barred(folder), pytest.raises(StoreError) as told:
        ASKED[way](store, snapshot.id)
    assert str(told.value) == (
        f"{folder} cannot be read (Permission denied): make it readable for this user and try again."
    )


@pytest.mark.parametrize("way", ["open", "use", "read", "resolve"])
def test_a_manifest_that_cannot_be_read_is_named(store: Store, way: str) -> None:
    snapshot = store.freeze(Held(CODE), EMPTY)
    manifest = store.root / "manifests" / f"{snapshot.id}.json"
    with barred(manifest), pytest.raises(StoreError, match=r"json cannot be read \(Permission denied\): make it"):
        ASKED[way](store, snapshot.id)


def test_a_manifest_that_cannot_be_read_is_not_written_again(store: Store) -> None:
    snapshot = store.freeze(Held(CODE), EMPTY)
    manifest = store.root / "manifests" / f"{snapshot.id}.json"
    before = manifest.stat().st_ino
    with barred(manifest), pytest.raises(StoreError, match="cannot be read"):
        store.freeze(Held(CODE), EMPTY)
    assert manifest.stat().st_ino == before


@pytest.mark.parametrize("way", ["open", "use", "checkout"])
def test_a_tree_that_cannot_be_read_is_named(store: Store, way: str) -> None:
    snapshot = store.freeze(Held(CODE), EMPTY)
    folder = store.root / "trees" / snapshot.id / "my_lab"
    with barred(folder), pytest.raises(StoreError, match=rf"{folder} cannot be read \(Permission denied\): make it"):
        ASKED[way](store, snapshot.id)


@pytest.mark.parametrize("way", ["read", "checkout"])
def test_an_object_that_cannot_be_read_is_named(store: Store, way: str) -> None:
    snapshot = store.freeze(Held(CODE), EMPTY)
    with barred(store.root / "objects"), pytest.raises(StoreError, match=r"objects/.* cannot be read \(Permission"):
        ASKED[way](store, snapshot.id)


def test_verifying_names_the_snapshot_whose_tree_cannot_be_read_and_goes_on(store: Store) -> None:
    barred_one = store.freeze(Held(CODE), EMPTY)
    store.freeze(Held({"my_lab/__init__.py": b""}), EMPTY)
    with barred(store.root / "trees" / barred_one.id / "my_lab"):
        damages = store.verify()
    assert {one.snapshot for one in damages} == {barred_one.id}
    assert "cannot be read (Permission denied): make it readable" in damages[0].what


def test_a_file_in_the_place_of_a_folder_is_named(store: Store) -> None:
    store.freeze(Held(CODE), EMPTY)
    (store.root / "holds").rmdir()
    (store.root / "holds").touch()
    with pytest.raises(StoreError, match=r"holds cannot be read \(Not a directory\): see to it and try again"):
        store.verify()
