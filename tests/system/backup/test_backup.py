"""A laboratory's data go into a folder and come back the same; what is damaged or in the way is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from hotswap.source import TreeSource
from hotswap.store import Store
from lab.backup.cleaning import clean
from lab.backup.manifest import BackupError
from lab.backup.restoring import restore
from lab.backup.taking import take
from lab.migrations import CURRENT, SchemaError, check, migrate
from lab.records import Document, new_id, now
from lab.settings.config import LabConfig, load

pytestmark = pytest.mark.system

Make = Callable[..., LabConfig]


@pytest.fixture
def make(tmp_path: Path, mongo_uri: str) -> Iterator[Make]:
    """A laboratory with a database on the test's server, and a state folder of its own."""
    made: list[LabConfig] = []

    def settings(name: str, more: str = "") -> LabConfig:
        folder = tmp_path / name
        (folder / "my_lab").mkdir(parents=True)
        (folder / "my_lab" / "__init__.py").write_text("VALUE = 1\n")
        text = f'[general]\nname = "{name}_{new_id()}"\nstate_dir = "state"\n{more}[mongodb]\nuri = "{mongo_uri}"\n'
        (folder / "lab.toml").write_text(text)
        made.append(load(folder, {}))
        return made[-1]

    yield settings
    with MongoClient[Document](mongo_uri) as client:
        for config in made:
            client.drop_database(config.database)


def database(config: LabConfig) -> Database[Document]:
    client: MongoClient[Document] = MongoClient(config.mongodb.uri)
    return client[config.database]


@pytest.fixture
def filled(make: Make) -> LabConfig:
    """A laboratory with documents of every kind of value, and code that a task ran."""
    config = make("first")
    store = Store(config.general.state_dir / "store")
    snapshot = store.freeze(TreeSource(config.general.package)).id
    there = database(config)
    with there.client:
        migrate(there)
        values = {"nan": float("nan"), "id": ObjectId(), "at": now(), "blob": b"\0" * 1_000_000, "long": 2**40}
        task = {"_id": "t", "pin": {"snapshot": snapshot}, "attempts": [], "status": "COMPLETED", "result": values}
        there["tasks"].insert_one(task)
        there["events"].insert_many({"number": number} for number in range(600))
        there["results.chunks"].insert_many({"n": number, "data": b"x" * 1_000_000} for number in range(9))
        there["workers"].insert_one({"_id": "w"})
    return config


def content(config: LabConfig) -> dict[str, list[Any]]:
    """Every document, but those of processes and of the lab's own bookkeeping."""
    there = database(config)
    with there.client:
        names = set(there.list_collection_names()) - {"meta", "workers"}
        return {name: sorted(map(repr, there[name].find())) for name in sorted(names) if there[name].find_one()}


def test_what_is_restored_elsewhere_is_what_was_backed_up(filled: LabConfig, make: Make, tmp_path: Path) -> None:
    manifest = take(filled, tmp_path / "backup")
    assert manifest.settled
    other = make("second")
    restore(other, tmp_path / "backup")
    assert content(other) == content(filled)
    code = [Store(each.general.state_dir / "store").list()[0].id for each in (filled, other)]
    assert code[0] == code[1]
    there = database(other)
    with there.client:
        assert there["workers"].find_one() is None
        assert check(there) == CURRENT


def test_a_backup_of_a_lab_at_work_has_what_changed_meanwhile(
    filled: LabConfig, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.backup import taking

    there = database(filled)
    copy_all = taking._copy_all

    def copy_and_change(*arguments: Any) -> None:
        copy_all(*arguments)
        there["tasks"].update_one({"_id": "t"}, {"$set": {"status": "ERROR"}})
        there["events"].delete_one({"number": 7})
        there["samples"].insert_one({"_id": "late"})

    monkeypatch.setattr(taking, "_copy_all", copy_and_change)
    with there.client:
        assert take(filled, tmp_path / "backup").settled
    restore(other := make("second"), tmp_path / "backup")
    assert content(other) == content(filled)
    assert "late" in str(content(other)["samples"])


def test_a_lab_that_never_rests_is_backed_up_and_that_is_said(filled: LabConfig, tmp_path: Path) -> None:
    there, ended = database(filled), threading.Event()

    def work() -> None:
        while not ended.is_set():
            there["devices"].update_one({"_id": "oven"}, {"$inc": {"fence": 1}}, upsert=True)

    with there.client:
        worker = threading.Thread(target=work)
        worker.start()
        try:
            assert not take(filled, tmp_path / "backup").settled
        finally:
            ended.set()
            worker.join()


def test_a_database_that_holds_something_is_replaced_only_when_that_is_said(
    filled: LabConfig, make: Make, tmp_path: Path
) -> None:
    take(filled, tmp_path / "backup")
    other = make("second")
    there = database(other)
    with there.client:
        there["samples"].insert_one({"_id": "precious"})
        with pytest.raises(BackupError, match="holds documents already; say --replace"):
            restore(other, tmp_path / "backup")
        assert there["samples"].find_one() == {"_id": "precious"}
        restore(other, tmp_path / "backup", replace=True)
    assert content(other) == content(filled)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "is not as it was written"),
        (lambda path: path.unlink(), "is missing from the backup"),
    ],
)
@pytest.mark.parametrize("pattern", ["database/events.bson", "code/*.tar", "changes.bson"])
def test_a_damaged_backup_is_refused_by_file_before_anything_is_deleted(
    filled: LabConfig, tmp_path: Path, damage: Callable[[Path], object], sentence: str, pattern: str
) -> None:
    before = content(filled)
    take(filled, tmp_path / "backup")
    (path,) = (tmp_path / "backup").glob(pattern)
    path.write_bytes(path.read_bytes() or b"y")
    damage(path)
    with pytest.raises(BackupError, match=f"{path.name} {sentence}"):
        restore(filled, tmp_path / "backup", replace=True)
    assert content(filled) == before


def edited(folder: Path, **fields: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"schema": CURRENT + 1}, f"has documents of version {CURRENT + 1}"),
        ({"format": 9}, "has format 9"),
        ({"simulation": False}, "The backup is of a real lab"),
        ({"files": {"../../secret": {}}}, "which is not in its folder"),
        ({"unknown": 1}, "cannot be read"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused(
    filled: LabConfig, make: Make, tmp_path: Path, fields: dict[str, Any], sentence: str
) -> None:
    take(filled, tmp_path / "backup")
    edited(tmp_path / "backup", **fields)
    with pytest.raises(BackupError, match=sentence):
        restore(make("second"), tmp_path / "backup")


def test_a_folder_that_holds_no_backup_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="holds no backup"):
        restore(make("first"), tmp_path)


def test_a_backup_is_written_into_an_empty_folder_only_and_leaves_nothing_half_done(
    filled: LabConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "used" / "file").mkdir(parents=True)
    with pytest.raises(BackupError, match="is not empty"):
        take(filled, tmp_path / "used")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("lab.backup.taking._export_code", lambda *_: Path("/nowhere").read_text())
    with pytest.raises(BackupError, match="cannot be written"):
        take(filled, tmp_path / "backup")
    assert sorted(tmp_path.iterdir()) == before


def test_a_restore_that_is_cut_short_keeps_the_lab_from_launching_until_it_is_repeated(
    filled: LabConfig, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(filled, tmp_path / "backup")
    other = make("second")

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lab.backup.restoring._apply", crash)
        with pytest.raises(KeyboardInterrupt):
            restore(other, tmp_path / "backup")
    there = database(other)
    with there.client:
        with pytest.raises(SchemaError, match="did not come to its end; run `lab restore` with --replace"):
            check(there)
        with pytest.raises(SchemaError, match="did not come to its end"):
            take(other, tmp_path / "of half of it")
        restore(other, tmp_path / "backup", replace=True)
        check(there)
    assert content(other) == content(filled)


def test_a_database_is_deleted_when_it_is_named(filled: LabConfig) -> None:
    with pytest.raises(BackupError, match=f"`lab clean {filled.database}` deletes all documents"):
        clean(filled, None, None)
    with pytest.raises(BackupError, match="name that database"):
        clean(filled, "another", None)
    assert content(filled)
    clean(filled, filled.database, None)
    assert content(filled) == {}


def test_real_work_is_deleted_after_a_backup_only(make: Make, tmp_path: Path) -> None:
    config = make("real", more="simulation = false\n")
    there = database(config)
    with there.client:
        there["samples"].insert_one({"_id": "precious"})
        with pytest.raises(BackupError, match="name a folder for a backup of it with --backup"):
            clean(config, config.database, None)
        clean(config, config.database, tmp_path / "backup")
        assert there["samples"].find_one() is None
    restore(config, tmp_path / "backup")
    assert "precious" in str(content(config))
