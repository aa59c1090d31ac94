"""The documents of each version become current, once or again; those of a later version are left alone."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from lab.migrations import CURRENT, STEPS, SchemaError, check, migrate, version_of

pytestmark = pytest.mark.system

Documents = Database[dict[str, Any]]


@pytest.fixture
def first(database: Documents) -> Documents:
    """Documents as they were before their version was noted."""
    database["tasks"].insert_one({"_id": "t", "status": "COMPLETED"})
    database["tasks"].insert_one({"_id": "u", "edits": [{"actor": "ada"}]})
    database["experiments"].insert_one({"_id": "e", "pin": {"snapshot": "s"}})
    database["devices"].insert_one({"_id": "oven", "stops": 3})
    return database


def test_there_is_a_step_to_every_version() -> None:
    assert sorted(STEPS) == list(range(2, CURRENT + 1))


def test_an_empty_database_is_current(database: Documents) -> None:
    assert migrate(database) == []
    assert database["meta"].find_one({"_id": "schema"}) == {"_id": "schema", "version": CURRENT}


def test_documents_without_a_version_are_of_the_first_one_and_become_current(first: Documents) -> None:
    assert version_of(first) == 1
    assert migrate(first) == list(range(2, CURRENT + 1))
    assert version_of(first) == CURRENT
    assert migrate(first) == []


def test_version_2_gives_documents_the_fields_they_lack_and_leaves_the_others(first: Documents) -> None:
    for _ in range(2):  # a step can be repeated
        STEPS[2](first)
    tasks = {task["_id"]: task for task in first["tasks"].find()}
    assert (tasks["t"]["edits"], tasks["t"]["examined"], tasks["t"]["status"]) == ([], None, "COMPLETED")
    assert tasks["u"]["edits"] == [{"actor": "ada"}]
    assert first["experiments"].find_one() == {"_id": "e", "pin": {"snapshot": "s"}}
    device = first["devices"].find_one()
    assert device is not None
    assert (device["stops"], device["stopped"], device["hand_over"]) == (3, False, None)


def test_a_step_that_a_crash_cut_short_is_done_again(first: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: Documents) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(STEPS, 2, crash)
        with pytest.raises(KeyboardInterrupt):
            migrate(first)
    assert version_of(first) == 1
    assert migrate(first) == list(range(2, CURRENT + 1))


def test_documents_of_a_later_version_are_refused_and_left_alone(first: Documents) -> None:
    first["meta"].insert_one({"_id": "schema", "version": CURRENT + 1})  # type: ignore[dict-item]
    with pytest.raises(SchemaError, match=f"has documents of version {CURRENT + 1}.*install the version"):
        migrate(first)
    assert first["tasks"].find_one({"_id": "t"}) == {"_id": "t", "status": "COMPLETED"}


def test_what_a_restore_left_half_done_is_refused(first: Documents) -> None:
    first["meta"].insert_one({"_id": "restore"})  # type: ignore[dict-item]
    with pytest.raises(SchemaError, match="did not come to its end"):
        check(first)
