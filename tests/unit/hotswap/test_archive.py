"""One snapshot as one file: written one way, and readable by anybody."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from archives import member, put_together, take_apart

from hotswap.archive import ArchiveSource, export, load
from hotswap.digest import hash_json
from hotswap.environment import Distribution, Environment
from hotswap.errors import ArchiveError, DamagedError, UnknownSnapshotError
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store

ENVIRONMENT = Environment("cp311", (Distribution("elsewhere", "1.2"),))
CONTENTS = {
    "__init__.py": b"x = 1\n",
    "broken.py": b"def (\n",
    "data/block.bin": bytes(range(256)) * 2,
    "data/empty": b"",
    "data/größe.json": b"{}",
    "run.sh": b"#!/bin/sh\n",
    f"{'deep/' * 25}{'n' * 90}.py": b"y = 2\n",
    f"{'deep/' * 25}{'n' * 120}.py": b"y = 3\n",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


@pytest.fixture
def snapshot(store: Store, tmp_path: Path) -> Snapshot:
    package = tmp_path / "my_lab"
    for name, data in CONTENTS.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(data)
    (package / "run.sh").chmod(0o755)
    return store.freeze(TreeSource(package), ENVIRONMENT)


@pytest.fixture
def archive(store: Store, snapshot: Snapshot, tmp_path: Path) -> Path:
    path = tmp_path / "version.tar"
    assert export(store, snapshot.short_id, path) == snapshot
    return path


def test_another_store_gets_all_of_it(archive: Path, snapshot: Snapshot, other: Store) -> None:
    frozen = load(other, archive)
    assert (frozen.snapshot, frozen.new) == (snapshot, True)
    assert other.open(snapshot.id) == snapshot
    assert {path: other.read(snapshot.id, f"my_lab/{path}") for path in CONTENTS} == CONTENTS
    assert other.verify() == []


def test_byte_code_is_compiled_anew(archive: Path, snapshot: Snapshot, store: Store, other: Store) -> None:
    load(other, archive)
    compiled = [{path.name for path in one.tree(snapshot.id).rglob("*.pyc")} for one in (store, other)]
    assert compiled[0] == compiled[1]
    assert len(compiled[0]) == 3


def test_loading_again_changes_nothing(archive: Path, snapshot: Snapshot, store: Store) -> None:
    frozen = load(store, archive)
    assert (frozen.snapshot, frozen.new) == (snapshot, False)


def test_a_hold_comes_with_it(archive: Path, snapshot: Snapshot, other: Store) -> None:
    load(other, archive, hold="for the paper")
    assert other.holds(snapshot.id) == ("for the paper",)


def test_the_same_snapshot_gives_the_same_bytes_in_any_store(
    archive: Path, snapshot: Snapshot, other: Store, tmp_path: Path
) -> None:
    load(other, archive)
    export(other, snapshot.id, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_the_manifest_comes_first_and_the_files_follow_in_its_order(archive: Path, snapshot: Snapshot) -> None:
    (first, manifest), *files = take_apart(archive)
    assert first.name == "manifest.json"
    told = snapshot.to_dict()
    assert json.loads(manifest) == {"archive_format": 1, "digest": hash_json(told), "snapshot": told}
    assert [(info.name, info.mode, info.size, info.mtime, info.uid) for info, _ in files] == [
        (f"files/{entry.path}", entry.mode, entry.size, 0, 0) for entry in snapshot.files
    ]
    assert {info.name.removeprefix("files/my_lab/"): data for info, data in files} == CONTENTS


def test_its_bytes_are_those_of_a_plain_ustar_archive(store: Store, tmp_path: Path) -> None:
    """What is written in years to come must be what was written then."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "__init__.py").write_bytes(b"x = 1\n")
    (tmp_path / "small" / f"{'n' * 90}.py").write_bytes(b"")
    export(store, store.freeze(TreeSource(tmp_path / "small"), ENVIRONMENT).id, tmp_path / "small.tar")
    data = (tmp_path / "small.tar").read_bytes()
    expected = [member(info.name, content, mode=0o644) for info, content in take_apart(data)]
    assert data == put_together(expected)
    assert [info.name for info, _ in expected][1:] == ["files/small/__init__.py", f"files/small/{'n' * 90}.py"]


def test_tar_gets_the_code_back_without_us(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "xf", archive, "-C", out], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    files = [path for path in (out / "files" / "my_lab").rglob("*") if path.is_file()]
    assert {path.relative_to(out / "files" / "my_lab").as_posix(): path.read_bytes() for path in files} == CONTENTS
    assert os.access(out / "files" / "my_lab" / "run.sh", os.X_OK)
    assert (out / "manifest.json").exists()


def test_a_file_that_is_there_is_replaced(archive: Path, store: Store, snapshot: Snapshot) -> None:
    before = archive.read_bytes()
    archive.write_bytes(b"something else")
    export(store, snapshot.id, archive)
    assert archive.read_bytes() == before


def test_what_is_there_stays_when_exporting_fails(archive: Path, store: Store, snapshot: Snapshot) -> None:
    entry = snapshot.file("my_lab/run.sh")
    assert entry is not None
    damaged = store.root / "objects" / entry.digest[:2] / entry.digest[2:]
    damaged.unlink()
    before = sorted(archive.parent.iterdir()), archive.read_bytes()
    with pytest.raises(DamagedError):
        export(store, snapshot.id, archive)
    assert (sorted(archive.parent.iterdir()), archive.read_bytes()) == before


@pytest.mark.parametrize("place", ["nowhere/version.tar", "my_lab/run.sh/version.tar", "my_lab", "n" * 300])
def test_a_place_that_cannot_be_written_is_refused(
    store: Store, snapshot: Snapshot, tmp_path: Path, place: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArchiveError, match=f"{place} cannot be written"):
        export(store, snapshot.id, tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_not_in_the_store_cannot_be_exported(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    absent = "0" if snapshot.id[0] != "0" else "1"
    with pytest.raises(UnknownSnapshotError):
        export(store, absent, tmp_path / "version.tar")
    assert not (tmp_path / "version.tar").exists()


def test_progress_is_told(store: Store, snapshot: Snapshot, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export(store, snapshot.id, tmp_path / "version.tar", lambda done, total: told.append((done, total)))
    assert told == [(count, len(CONTENTS)) for count in range(1, len(CONTENTS) + 1)]


def test_a_damaged_store_is_mended_from_an_archive(archive: Path, store: Store, snapshot: Snapshot) -> None:
    (store.tree(snapshot.id) / "my_lab").chmod(0o755)
    (store.tree(snapshot.id) / "my_lab" / "__init__.py").unlink()
    entry = snapshot.file("my_lab/__init__.py")
    assert entry is not None
    (store.root / "objects" / entry.digest[:2] / entry.digest[2:]).unlink()
    assert store.repair(store.verify(), [ArchiveSource(archive)]) == []
    assert store.read(snapshot.id, "my_lab/__init__.py") == CONTENTS["__init__.py"]
    assert store.verify() == []


@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_snapshot_whose_manifest_is_lost_comes_back_with_its_archive(
    archive: Path, store: Store, snapshot: Snapshot, content: bytes | None
) -> None:
    manifest = store.root / "manifests" / f"{snapshot.id}.json"
    manifest.unlink() if content is None else manifest.write_bytes(content)
    assert [one.path for one in store.verify()] == [f"manifests/{snapshot.id}.json"]
    load(store, archive)
    assert store.open(snapshot.id) == snapshot
    assert store.verify() == []


def test_an_archive_gives_contents_by_digest_as_long_as_they_are_sound(archive: Path, snapshot: Snapshot) -> None:
    source = ArchiveSource(archive)
    entry = snapshot.file("my_lab/__init__.py")
    assert entry is not None
    assert source.content(entry.digest) == CONTENTS["__init__.py"]
    assert source.content("0" * 64) is None
    archive.write_bytes(archive.read_bytes().replace(CONTENTS["__init__.py"], b"x = 2\n"))
    assert source.content(entry.digest) is None
    archive.unlink()
    assert source.content(entry.digest) is None
