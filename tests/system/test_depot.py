"""Snapshots in the GridFS of a real database: pushed, fetched by another host, and mended from."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from gridfs import GridFSBucket
from held_source import EMPTY, Held
from pymongo.database import Database

from hotswap.cli import main
from hotswap.depot import BUCKET, Depot
from hotswap.digest import hash_bytes
from hotswap.errors import SourceError, UnknownSnapshotError
from hotswap.source import SourceFile
from hotswap.store import Store

pytestmark = pytest.mark.system

LARGE = bytes(range(256)) * 3_000
CONTENTS = {"my_lab/__init__.py": b"X = 1\n", "my_lab/empty": b"", "my_lab/large.bin": LARGE, "my_lab/same": b"X = 1\n"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "snapshots")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """That of another host."""
    return Store(tmp_path / "elsewhere")


@pytest.fixture
def depot(database: Database[dict[str, Any]]) -> Depot:
    return Depot(database)


@pytest.fixture
def url(mongo_uri: str, database: Database[dict[str, Any]]) -> str:
    server, _, options = mongo_uri.partition("/?")
    return f"{server}/{database.name}?{options}"


def freeze(store: Store, **changed: bytes) -> str:
    contents = {**CONTENTS, **{f"my_lab/{name}.py": data for name, data in changed.items()}}
    return store.freeze(Held(contents), EMPTY, hold="paper").id


def lose(store: Store, data: bytes) -> None:
    """Have a store lose a content, with the copies of it that are in trees."""
    digest = hash_bytes(data)
    for snapshot in store.list():
        for entry in snapshot.files:
            path = store.root / "trees" / snapshot.id / entry.path
            if entry.digest == digest:
                path.parent.chmod(0o755)
                path.unlink()
                path.parent.chmod(0o555)
    (store.root / "objects" / digest[:2] / digest[2:]).unlink()


def run(*arguments: str, code: int = 0, **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def test_another_host_fetches_what_was_pushed_as_it_was_frozen(depot: Depot, store: Store, other: Store) -> None:
    snapshot = store.open(freeze(store))
    assert depot.push(store, snapshot.short_id).new == 3  # one content is in two files
    frozen = depot.fetch(other, snapshot.short_id, hold="here")
    assert (frozen.snapshot, frozen.new) == (snapshot, True)
    assert {one.path: other.content(one) for one in frozen.snapshot.files} == CONTENTS
    assert other.holds(snapshot.id) == ("here",)
    assert other.verify() == []


def test_contents_are_files_that_any_client_of_gridfs_reads(
    depot: Depot, store: Store, database: Database[dict[str, Any]]
) -> None:
    depot.push(store, freeze(store))
    assert GridFSBucket(database, BUCKET).open_download_stream_by_name(hash_bytes(LARGE)).read() == LARGE


def test_pushing_again_writes_nothing_and_a_neighbour_only_what_differs(depot: Depot, store: Store) -> None:
    depot.push(store, freeze(store))
    told: list[tuple[int, int]] = []
    assert depot.push(store, freeze(store), lambda done, total: told.append((done, total))).new == 0
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert depot.push(store, freeze(store, furnace=b"LIMIT = 3\n")).new == 1


def test_a_store_reads_only_what_it_lacks(
    depot: Depot, store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = freeze(store, furnace=b"LIMIT = 3\n")
    freeze(other)
    depot.push(store, new)
    asked: list[str] = []
    content = depot.content
    monkeypatch.setattr(depot, "content", lambda digest: asked.append(digest) or content(digest))
    depot.fetch(other, new)
    assert asked == [hash_bytes(b"LIMIT = 3\n")]


def test_what_was_cut_off_is_not_to_be_seen_and_completed_by_the_next_push(
    depot: Depot, store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, content = freeze(store), store.content

    def cut(entry: SourceFile) -> bytes:
        if entry.path.endswith("large.bin"):
            raise KeyboardInterrupt
        return content(entry)  # type: ignore[arg-type]

    with monkeypatch.context() as patching:
        patching.setattr(store, "content", cut)
        with pytest.raises(KeyboardInterrupt):
            depot.push(store, snapshot)
    with pytest.raises(UnknownSnapshotError):
        depot.fetch(other, snapshot)
    assert depot.push(store, snapshot).new == 1
    assert depot.fetch(other, snapshot).new


def test_two_who_push_the_same_at_once_do_no_harm(depot: Depot, store: Store, other: Store) -> None:
    snapshot = freeze(store)
    pushers = [threading.Thread(target=depot.push, args=(store, snapshot)) for _ in range(4)]
    for each in pushers:
        each.start()
    for each in pushers:
        each.join()
    assert depot.fetch(other, snapshot).new
    assert other.verify() == []


@pytest.mark.parametrize("damage", ["other", "gone"])
def test_what_is_damaged_there_is_refused_and_replaced_by_the_next_push(
    depot: Depot, store: Store, other: Store, database: Database[dict[str, Any]], damage: str
) -> None:
    snapshot = freeze(store)
    depot.push(store, snapshot)
    chunk = {"files_id": hash_bytes(LARGE), "n": 1}
    if damage == "gone":
        database[f"{BUCKET}.chunks"].delete_one(chunk)
    else:
        database[f"{BUCKET}.chunks"].update_one(chunk, {"$set": {"data": b"x" * 255 * 1024}})
    with pytest.raises(SourceError, match=f"Snapshot {snapshot[:12]} is damaged in the database .* push it again"):
        depot.fetch(other, snapshot)
    assert other.list() == []
    assert depot.push(store, snapshot).new == 1
    assert depot.fetch(other, snapshot).new


def test_a_manifest_that_is_not_that_of_its_id_is_refused(
    depot: Depot, store: Store, other: Store, database: Database[dict[str, Any]]
) -> None:
    one, two = freeze(store), freeze(store, furnace=b"LIMIT = 3\n")
    depot.push(store, one)
    depot.push(store, two)
    chunks = database[f"{BUCKET}.chunks"]
    foreign = chunks.find_one({"files_id": f"manifest:{two}"})
    assert foreign is not None
    chunks.update_one({"files_id": f"manifest:{one}"}, {"$set": {"data": foreign["data"]}})
    with pytest.raises(SourceError, match="is damaged in the database"):
        depot.fetch(other, one)


def test_an_id_that_is_not_there_or_not_clear_is_told(depot: Depot, store: Store, other: Store) -> None:
    depot.push(store, freeze(store))
    depot.push(store, freeze(store, furnace=b"LIMIT = 3\n"))
    with pytest.raises(UnknownSnapshotError, match="nothing starts with 'zz'"):
        depot.fetch(other, "zz")
    with pytest.raises(UnknownSnapshotError, match="several snapshots start with ''"):
        depot.fetch(other, "")


def test_a_lost_object_is_repaired_from_the_database(store: Store, url: str) -> None:
    snapshot, there = freeze(store), ("--store", str(store.root))
    assert "3 contents were new there" in run("push", snapshot, "--database", url, *there).stdout
    lose(store, LARGE)
    assert "large.bin" in run("verify", "--repair", *there, code=1).stdout
    assert run("verify", "--repair-from", url, *there).stdout.startswith("All damage was repaired")
    assert store.verify() == []


def test_repairing_asks_the_database_that_the_environment_names(store: Store, url: str) -> None:
    snapshot, there = freeze(store), ("--store", str(store.root))
    run("push", snapshot, *there, HOTSWAP_DATABASE=url)
    lose(store, b"X = 1\n")
    assert "damage" in run("verify", *there, code=1, HOTSWAP_DATABASE=url).stdout
    run("verify", "--repair", *there, HOTSWAP_DATABASE=url)
    assert store.verify() == []


def test_the_command_fetches_into_a_new_store_and_prints_the_id(store: Store, other: Store, url: str) -> None:
    snapshot = freeze(store)
    run("push", snapshot, "--database", url, "--store", str(store.root))
    fetched = run("fetch", snapshot[:12], "--hold", "here", "--database", url, "--store", str(other.root))
    assert fetched.stdout == f"{snapshot}\n"
    assert other.holds(snapshot) == ("here",)


def test_facts_of_both_commands_are_json_too(store: Store, other: Store, url: str) -> None:
    snapshot, options = freeze(store), ("--json", "--database", url)
    pushed = json.loads(run("push", snapshot, *options, "--store", str(store.root)).stdout)
    assert (pushed["id"], pushed["files"], pushed["new"]) == (snapshot, 4, 3)
    fetched = json.loads(run("fetch", snapshot, *options, "--store", str(other.root)).stdout)
    assert (fetched["id"], fetched["new"]) == (snapshot, True)


def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap.depot._ANSWER_MS", 100)
    url = "mongodb://mira:secret@127.0.0.1:1/snapshots"
    told = run("push", freeze(store), "--store", str(store.root), code=2, HOTSWAP_DATABASE=url).stderr
    assert told.startswith("error: The database at 127.0.0.1:1 fails (")
    assert "secret" not in told
