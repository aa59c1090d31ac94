"""What the doctor finds among the documents: each contradiction is planted alone, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from hotswap.generations import Generations
from hotswap.process import Identity
from hotswap.store import Store
from lab.doctor import Report
from lab.doctor._invariants import check_invariants
from lab.records import Records, TaskStatus, new_id, new_task, now

pytestmark = pytest.mark.system

GONE = "f" * 64
Plant = Callable[[Records], object]


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    """A small laboratory in which all is well: one experiment, one task at work, with a device and a place."""
    records = Records(database)
    records.experiments.insert_one({"_id": "e", "name": "e", "status": "RUNNING"})  # type: ignore[typeddict-item]
    task = new_task("Heating", {}, samples=["s"], experiment="e", task_id="t")
    claim = {"worker": "w", "token": "1", "at": now()}
    records.tasks.insert_one({**task, "status": TaskStatus.RUNNING, "claim": claim})  # type: ignore[typeddict-item]
    database["workers"].insert_one({"_id": "w", "identity": Identity.mine().to_dict()})
    database["positions"].insert_many([{"_id": "oven/1", "holder": "t"}, {"_id": "table/1", "holder": None}])
    step = {"position": "table/1"}
    database["samples"].insert_one({"_id": "s", "name": "quartz", "position": "table/1", "history": [step]})
    database["devices"].insert_one(device("oven", state="granted", holder="t"))
    database["requests"].insert_one({"_id": "r", "task": "t", "status": "FULFILLED"})
    return records


def device(name: str, **fields: Any) -> dict[str, Any]:
    return {"_id": name, "state": "free", "holder": None, "paused": False, "binding": None, **fields}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look does not wait: nothing is at work here."""
    monkeypatch.setattr("lab.doctor._invariants.time.sleep", lambda _: None)


def looked_over(records: Records, folder: Path) -> Report:
    report = Report()
    check_invariants(report, records, Store(folder / "store"))
    return report


def test_documents_that_agree_are_told_to(records: Records, tmp_path: Path) -> None:
    report = looked_over(records, tmp_path)
    assert report.findings == []
    assert report.facts[-1][0] == "documents"


def end(records: Records) -> None:
    records.tasks.update_one({"_id": "t"}, {"$set": {"status": TaskStatus.COMPLETED}})


def pin(records: Records) -> None:
    records.tasks.update_one({"_id": "t"}, {"$set": {"pin": {"snapshot": GONE}}})


def promote(records: Records) -> None:
    Generations(records.database).promote(
        GONE, expected=None, commit=None, dirty=True, environment="e", actor="test", reason=""
    )


CONTRADICTIONS: dict[str, tuple[Plant, str]] = {
    "two samples in one place": (
        lambda records: records.database["samples"].insert_one(
            {"_id": "b", "name": "salt", "position": "table/1", "history": []}
        ),
        "table/1 has 2 samples in it: quartz (s), salt (b)",
    ),
    "a sample in two places": (
        lambda records: records.samples.update_one({"_id": "s"}, {"$push": {"history": {"position": "oven/1"}}}),  # type: ignore[dict-item]
        "sample quartz (s) is in table/1, but was last moved to oven/1",
    ),
    "a sample nowhere": (
        lambda records: records.positions.delete_one({"_id": "table/1"}),
        "sample quartz (s) is in table/1, which does not exist",
    ),
    "a place held by an ended task": (end, "oven/1 is held by task t, which has ended: COMPLETED"),
    "a device granted to an ended task": (end, "oven is granted to task t, which has ended: COMPLETED"),
    "a request of an ended task": (end, "request r is open, but its task t has ended: COMPLETED"),
    "a device granted to no task": (
        lambda records: records.database["devices"].insert_one(device("arm", state="granted", holder="nobody")),
        "arm is granted to task nobody, which does not exist",
    ),
    "a free device with a holder": (
        lambda records: records.devices.update_one({"_id": "oven"}, {"$set": {"state": "free"}}),
        "oven is free, but held by task t",
    ),
    "a device paused by nobody": (
        lambda records: records.devices.update_one({"_id": "oven"}, {"$set": {"paused": True}}),
        "oven is paused, and nothing says by whom",
    ),
    "a dead worker": (
        lambda records: records.workers.delete_many({}),
        "task t (Heating) is RUNNING, but its worker w is dead",
    ),
    "a lost experiment": (
        lambda records: records.experiments.delete_many({}),
        "unfinished tasks belong to experiment e, which does not exist",
    ),
    "a pin to code that is gone": (pin, f"task t (Heating) is pinned to code version {GONE[:12]}, which is gone"),
    "a binding to code that is gone": (
        lambda records: records.devices.update_one({"_id": "oven"}, {"$set": {"binding": {"snapshot": GONE}}}),
        f"oven is bound to code version {GONE[:12]}, which is gone",
    ),
    "current code that is gone": (promote, f"generation 1 is current, but its code version {GONE[:12]} is gone"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_each_contradiction_is_named_with_a_way_out(records: Records, tmp_path: Path, name: str) -> None:
    plant, sentence = CONTRADICTIONS[name]
    plant(records)
    found = {finding.what: finding.mend for finding in looked_over(records, tmp_path).findings}
    assert sentence in found
    assert all(found.values())


def test_a_pause_that_somebody_asked_for_is_none(records: Records, tmp_path: Path) -> None:
    records.devices.update_one({"_id": "oven"}, {"$set": {"paused": True}})
    records.log("device.released", "oven")
    records.log("device.paused", "oven")
    assert looked_over(records, tmp_path).findings == []


def test_what_is_over_at_the_second_look_is_no_contradiction(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.tasks.insert_one(new_task("Heating", {}, samples=[], experiment=new_id()))
    unfinished = {"experiment": {"$ne": "e"}}
    monkeypatch.setattr("lab.doctor._invariants.time.sleep", lambda _: records.tasks.delete_many(unfinished))
    assert looked_over(records, tmp_path).findings == []
