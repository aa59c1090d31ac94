"""Experiments in the archive: complete, compared, with their code; and what may leave the lab's database then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from hotswap import archive as archives
from hotswap.errors import UnknownSnapshotError
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.archiving.archive import Archive
from lab.archiving.code import export_code
from lab.archiving.documents import ArchiveError
from lab.archiving.retention import sweep
from lab.managers.archive import ArchiveManager
from lab.managers.bus import Bus
from lab.records import Document, Records, now
from lab.refusals import ConflictError, NotFoundError
from lab.results.large_result import LargeResult
from lab.results.result_files import ResultFiles
from lab.settings.config import load
from lab.settings.keeping import Archive as Settings
from lab.settings.keeping import Retention

pytestmark = pytest.mark.system

DAY = timedelta(days=1)
LONG_AGO = timedelta(days=100)


@pytest.fixture
def records(mongo_uri: str, database: Database[Document]) -> Iterator[Records]:
    with MongoClient[Document](mongo_uri, tz_aware=True) as client:
        yield Records(client[database.name])
        client.drop_database(f"{database.name}_archive")


@pytest.fixture
def target(records: Records) -> Database[Document]:
    return records.database.client[f"{records.database.name}_archive"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def snapshot(store: Store, tmp_path: Path) -> str:
    package = tmp_path / "sound"
    package.mkdir()
    (package / "__init__.py").write_text("VALUE = 1\n")
    return store.freeze(TreeSource(package)).id


@pytest.fixture
def archive(records: Records, store: Store, target: Database[Document]) -> Archive:
    return Archive(records, store, target)


def ended(records: Records, snapshot: str, name: str = "e", ago: timedelta = LONG_AGO) -> None:
    """An experiment that ended some time ago, with everything there can be about it."""
    at = now() - ago
    pin = {"snapshot": snapshot}
    db = records.database
    db["tasks"].insert_one(
        {
            "_id": f"{name}-t",
            "experiment": name,
            "parent": None,
            "status": "COMPLETED",
            "pin": pin,
            "attempts": [pin],
            "started_at": at - timedelta(hours=1),
            "ended_at": at,
            "result": {"peak": float("nan"), "id": ObjectId()},
        }
    )
    db["samples"].insert_one({"_id": f"{name}-s", "experiment": name, "position": None, "history": []})
    db["calls"].insert_one({"_id": f"{name}-c", "task": f"{name}-t", "device": "oven", "at": at})
    db["prompts"].insert_one({"_id": f"{name}-p", "task": f"{name}-t"})
    for minutes in (30, 300):
        reading = {"device": "oven", "name": "heat", "value": 1, "at": at - timedelta(minutes=minutes)}
        db["signals"].insert_one(reading)
    db["definitions"].replace_one({"_id": snapshot}, {"_id": snapshot, "text": "{}"}, upsert=True)
    ResultFiles(db).store(LargeResult.from_file_like_data(BytesIO(b"picture" * 400_000), "picture"), f"{name}-t", name)
    db["experiments"].insert_one({"_id": name, "name": name, "status": "COMPLETED", "completed_at": at})


def kept(database: Database[Document]) -> set[str]:
    """The collections with something in them."""
    return {name for name in database.list_collection_names() if database[name].find_one() is not None}


def test_an_experiment_is_archived_with_everything_about_it(
    records: Records, archive: Archive, target: Database[Document], snapshot: str
) -> None:
    ended(records, snapshot)
    ended(records, snapshot, "other", ago=DAY)
    counts = archive.add("e")
    assert counts == {
        "code": 1,
        "calls": 1,
        "requests": 0,
        "prompts": 1,
        "task_logs": 0,
        "signals": 1,
        "results": 1,
        "tasks": 1,
        "samples": 1,
        "experiments": 1,
    }
    for name in ("tasks", "samples", "calls", "experiments"):
        mine = {"_id": {"$regex": "^e"}}
        assert str(list(target[name].find())) == str(
            [
                {key: value for key, value in each.items() if key != "archived_at"}
                for each in records.database[name].find(mine)
            ]
        )
    assert target["signals"].count_documents({}) == 1
    reference = target["results.files"].find_one()
    assert reference is not None
    assert ResultFiles(target).open(reference["_id"]).read() == b"picture" * 400_000


def test_archiving_again_changes_nothing(
    records: Records, archive: Archive, target: Database[Document], snapshot: str
) -> None:
    ended(records, snapshot)
    first = archive.add("e")
    assert archive.due() == []
    assert archive.add("e") == first
    assert target["tasks"].count_documents({}) == 1
    assert target["hotswap.files"].count_documents({}) == 2  # a manifest and the only file


def test_an_experiment_that_is_run_again_is_archived_again(
    records: Records, archive: Archive, target: Database[Document], snapshot: str
) -> None:
    ended(records, snapshot)
    archive.add("e")
    again = {"status": "ERROR", "completed_at": now() + DAY}
    records.database["experiments"].update_one({"_id": "e"}, {"$set": again})
    assert archive.due(-2 * DAY) == ["e"]
    archive.add("e")
    found = target["experiments"].find_one({"_id": "e"})
    assert found is not None
    assert found["status"] == "ERROR"


def test_only_what_ended_long_enough_ago_is_due(records: Records, archive: Archive, snapshot: str) -> None:
    ended(records, snapshot, "young", ago=DAY)
    ended(records, snapshot, "old")
    records.database["experiments"].insert_one({"_id": "running", "status": "RUNNING", "completed_at": None})
    assert archive.due(50 * DAY) == ["old"]
    assert archive.due() == ["old", "young"]


def test_what_runs_or_is_not_there_is_refused(records: Records, archive: Archive, snapshot: str) -> None:
    ended(records, snapshot)
    records.database["tasks"].update_one({"_id": "e-t"}, {"$set": {"status": "READY"}})
    with pytest.raises(ConflictError, match="has not ended"):
        archive.add("e")
    with pytest.raises(NotFoundError, match="no experiment 'nowhere'"):
        archive.add("nowhere")


def test_what_is_not_read_back_as_it_was_written_is_not_archived(
    records: Records, archive: Archive, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(records, snapshot)
    monkeypatch.setattr("pymongo.collection.Collection.bulk_write", lambda *_, **__: None)
    with pytest.raises(ArchiveError, match="is not in the archive as it was written"):
        archive.add("e")
    monkeypatch.undo()
    assert archive.due() == ["e"]
    assert not archive.holds("e")


def test_code_can_be_fetched_back_when_the_lab_has_it_no_more(
    records: Records, archive: Archive, snapshot: str, mongo_uri: str, tmp_path: Path
) -> None:
    ended(records, snapshot)
    archive.add("e")
    package = tmp_path / "lab" / "my_lab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    name = records.database.name
    (package.parent / "lab.toml").write_text(
        f'[general]\nname = "{name}"\nsimulation = false\nstate_dir = "state"\n[archive]\nuri = "{mongo_uri}"\n'
    )
    config = load(package.parent, {})  # whose own database is not there
    assert export_code(config, snapshot[:10], tmp_path / "fetched") == "archive"
    assert archives.load(Store(tmp_path / "elsewhere"), tmp_path / "fetched").snapshot.id == snapshot
    with pytest.raises(UnknownSnapshotError, match="nothing starts with '0000000000'"):
        export_code(config, "0" * 10, tmp_path / "nothing")


def test_code_that_was_lost_before_does_not_keep_an_experiment_from_the_archive(
    records: Records, archive: Archive
) -> None:
    ended(records, "0" * 64)
    assert archive.add("e")["code"] == 0
    assert records.events.find_one({"kind": "code.not_archived"}) is not None


def test_an_archived_experiment_leaves_the_lab_when_it_is_old(
    records: Records, archive: Archive, snapshot: str
) -> None:
    ended(records, snapshot)
    settings = Retention(experiments_days=30)
    assert sweep(records, settings, archive) == {}  # not archived yet
    archive.add("e")
    assert sweep(records, settings, archive) == {"experiments": 1}
    assert kept(records.database) == {"events", "signals", "definitions"}
    assert sweep(records, settings, archive) == {}


def test_a_sample_that_still_stands_somewhere_keeps_its_experiment(
    records: Records, archive: Archive, snapshot: str
) -> None:
    ended(records, snapshot)
    archive.add("e")
    records.database["samples"].update_one({"_id": "e-s"}, {"$set": {"position": "oven/1"}})
    assert sweep(records, Retention(experiments_days=30), archive) == {}


def test_an_experiment_that_the_archive_lost_stays(
    records: Records, archive: Archive, target: Database[Document], snapshot: str
) -> None:
    ended(records, snapshot)
    archive.add("e")
    target["experiments"].delete_many({})
    assert sweep(records, Retention(experiments_days=30), archive) == {}


def test_old_events_and_calls_go_and_those_that_are_needed_stay(records: Records, archive: Archive) -> None:
    old = ObjectId.from_datetime(now() - LONG_AGO)
    db = records.database
    db["devices"].insert_one({"_id": "oven", "paused": True})
    for subject in ("oven", "arm"):
        event = {"_id": ObjectId(str(old)[:-1] + str(len(subject))), "kind": "device.paused", "subject": subject}
        db["events"].insert_one(event)
    records.log("device.connected", "arm")
    db["tasks"].insert_one({"_id": "goes on", "ended_at": None})
    for task in ("goes on", "ended"):
        db["calls"].insert_one({"task": task, "at": now() - LONG_AGO})
    gone = sweep(records, Retention(events_days=30, calls_days=30), archive)
    assert gone == {"events": 1, "calls": 1}
    assert {event["subject"] for event in db["events"].find({"kind": "device.paused"})} == {"oven"}
    assert [call["task"] for call in db["calls"].find()] == ["goes on"]


def manager(records: Records, archive: Archive, after_days: float | None = None) -> ArchiveManager:
    settings = Settings(after_days=after_days)
    return ArchiveManager(records, Bus(records.database), archive, settings, Retention())


def test_the_manager_archives_what_is_due_and_goes_on_over_what_cannot_be(
    records: Records, archive: Archive, snapshot: str
) -> None:
    for name in ("bad", "good"):
        ended(records, snapshot, name)
    records.database["tasks"].update_one({"_id": "bad-t"}, {"$set": {"status": "READY"}})
    manager(records, archive, after_days=10).reconcile()
    assert archive.due() == ["bad"]
    assert archive.holds("good")


def test_without_days_the_manager_archives_only_when_asked(records: Records, archive: Archive, snapshot: str) -> None:
    ended(records, snapshot)
    asked: Any = manager(records, archive)
    asked.reconcile()
    assert asked.archive(dry_run=True) == {"experiments": [{"id": "e", "counts": None}]}
    assert archive.due() == ["e"]
    assert asked.archive("e")["experiments"][0]["counts"]["tasks"] == 1
    assert archive.due() == []
