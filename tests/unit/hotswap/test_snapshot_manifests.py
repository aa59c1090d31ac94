"""A manifest in a store that somebody forged, with a checksum that fits, does no harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutations import seal, spell

from hotswap.environment import Environment
from hotswap.errors import StoreError
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def snapshot(store: Store, tmp_path: Path) -> Snapshot:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").write_bytes(b"x = 1\n")
    return store.freeze(TreeSource(tmp_path / "my_lab"), Environment("cp311"))


def forge(store: Store, snapshot: Snapshot, change: Callable[[dict[str, Any]], object]) -> None:
    path = store.root / "manifests" / f"{snapshot.id}.json"
    plain = json.loads(path.read_bytes())
    del plain["checksum"]
    change(plain)
    path.unlink()
    path.write_bytes(seal(spell(plain)))


def test_one_that_says_the_same_is_accepted(store: Store, snapshot: Snapshot) -> None:
    forge(store, snapshot, lambda plain: None)
    assert store.open(snapshot.id) == snapshot


@pytest.mark.parametrize(
    "path",
    [
        "../../../victim/__pycache__/x.cpython-311.pyc",
        "/etc/__pycache__/x.cpython-311.pyc",
        "my_lab/__pycache__/../../../x.cpython-311.pyc",
        "my_lab/__pycache__/other.cpython-311.pyc",
        "my_lab/__pycache__/__init__.\0.pyc",
        "my_lab/__init__.py",
        "sitecustomize.py",
    ],
)
def test_byte_code_is_that_of_a_file_of_the_snapshot(
    store: Store, snapshot: Snapshot, tmp_path: Path, path: str
) -> None:
    before = {one for one in tmp_path.rglob("*") if store.root not in one.parents}
    forge(store, snapshot, lambda plain: plain["bytecode"][0].__setitem__(0, path))
    with pytest.raises(StoreError, match="is not the byte-code of a file of the snapshot"):
        store.open(snapshot.id)
    assert store.repair(store.verify())
    assert {one for one in tmp_path.rglob("*") if store.root not in one.parents} == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda plain: plain["bytecode"].append(plain["bytecode"][0]), "byte-code is listed twice"),
        (lambda plain: plain.update(bytecode={}), "'bytecode' of the manifest is an object instead of a list"),
        (lambda plain: plain.update(snapshot=None), "the manifest is None instead of an object"),
        (lambda plain: plain.update(snapshot=[[[[]]]]), "the manifest is a list of 1 instead of an object"),
        (lambda plain: plain["snapshot"].update(package="other"), "does not hash to its name"),
    ],
)
def test_what_it_should_not_say_is_told(
    store: Store, snapshot: Snapshot, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    forge(store, snapshot, change)
    with pytest.raises(StoreError, match=reason):
        store.open(snapshot.id)
    assert [damage.path for damage in store.verify()] == [f"manifests/{snapshot.id}.json"]


def test_one_that_is_nested_endlessly_is_told(store: Store, snapshot: Snapshot) -> None:
    path = store.root / "manifests" / f"{snapshot.id}.json"
    path.unlink()
    path.write_bytes(seal(b'{"format": 1, "snapshot": ' + b"[" * 100_000))
    with pytest.raises(StoreError, match="cannot be read"):
        store.open(snapshot.id)
