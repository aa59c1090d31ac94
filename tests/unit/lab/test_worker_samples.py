"""Samples are moved once, whatever becomes of the answers of the database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from lab import patience
from lab.errors import SampleError
from lab.records import Pin
from lab.worker._samples import Samples

PIN = Pin(snapshot="0" * 64, generation=1, commit=None, dirty=False, environment="e")


class Collection:
    """Documents by id; the first answer to a write is lost where ``loses`` says so."""

    def __init__(self, *documents: dict[str, Any], loses: bool = False) -> None:
        self.documents = {each["_id"]: each for each in documents}
        self.loses = loses

    def find(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        return [self.documents[name] for name in query["_id"]["$in"]]

    def find_one(self, query: dict[str, Any]) -> dict[str, Any] | None:
        found = self.documents.get(query["_id"])
        fits = found is not None and all(found.get(name) == value for name, value in query.items())
        return dict(found) if found is not None and fits else None

    def update_one(self, query: dict[str, Any], change: dict[str, Any]) -> Any:
        found = self.find_one(query)
        if found is not None:
            self.documents[query["_id"]].update(change["$set"])
        if self.loses:
            self.loses = False
            raise AutoReconnect("the server is gone")
        return SimpleNamespace(modified_count=int(found is not None))


def samples(collection: Collection) -> Samples:
    place = {"_id": "table/1", "holder": "t1"}
    records: Any = SimpleNamespace(samples=collection, positions=Collection(place))
    return Samples(records, ["s1"], "t1", 1, PIN)


def test_a_sample_whose_move_was_not_answered_is_where_it_was_moved_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_DELAY", 0.0)
    collection = Collection({"_id": "s1", "name": "quartz", "position": None}, loses=True)
    samples(collection).move("s1", "table/1")
    assert collection.documents["s1"]["position"] == "table/1"


def test_a_sample_that_somebody_else_moved_meanwhile_is_not_moved() -> None:
    collection = Collection({"_id": "s1", "name": "quartz", "position": None})
    found = collection.find_one
    ours = samples(collection)

    def read(query: dict[str, Any]) -> dict[str, Any] | None:
        seen = found(query)
        if query == {"_id": "s1"}:
            collection.documents["s1"]["position"] = "storage/1"
        return seen

    collection.find_one = read  # type: ignore[method-assign]
    with pytest.raises(SampleError, match="moved by somebody else"):
        ours.move("s1", "table/1")
    assert collection.documents["s1"]["position"] == "storage/1"
