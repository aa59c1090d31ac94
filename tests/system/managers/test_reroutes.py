"""Samples that were left where somebody waits are taken away: those in the way, and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lab.managers.reroutes import RerouteManager
from lab.records import Document, RequestStatus, Sample, TaskStatus, new_id

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

NEW = "1" * 64
SLOTS: Document = {"key": "my_lab:Furnace", "kind": "class", "name": "my_lab:Furnace", "positions": {"slot": 2}}
FURNACE: Document = {"key": "furnace_1", "kind": "device", "name": "furnace_1", "positions": {"slot": 2}}


@pytest.fixture(autouse=True)
def rerouting(lab: Lab) -> None:
    """Code that has Heating take samples out of furnace_1."""
    promote(lab, ["furnace_1/slot"])
    lab.furnish()
    lab.add_worker()
    lab.start()


def promote(lab: Lab, positions: list[str]) -> None:
    lab.promote(NEW)
    known = lab.ground.catalog.get(NEW)
    reroute = {"positions": positions, "task": "Heating", "parameters": {"minutes": 7}, "where": "x"}
    lab.ground.catalog._known[NEW] = replace(known, reroutes=[reroute])


def stand(lab: Lab, position: str, history: Sequence[Any] = (1,)) -> str:
    sample = Sample(_id=new_id(), name="left", experiment="e0", position=position, tags=[], metadata={}, history=[])
    lab.records.samples.insert_one({**sample, "history": list(history)})
    return sample["_id"]


def reroutes(lab: Lab) -> list[Any]:
    return list(lab.records.tasks.find({"parameters.minutes": 7}))


def waiting(lab: Lab, want: Document) -> str:
    """A request that waits, and was told for what."""
    request = lab.request(lab.running_task(), want)  # type: ignore[arg-type]
    lab.until(lambda: lab.asked(request)["waits_for"])
    return request


def test_a_sample_that_was_left_in_the_way_is_taken_away(lab: Lab) -> None:
    sample = stand(lab, "furnace_1/slot/1")
    request = waiting(lab, FURNACE)
    lab.until(lambda: reroutes(lab))
    (task,) = reroutes(lab)
    assert (task["samples"], task["priority"]) == ([sample], 900)
    experiment = lab.until(lambda: lab.records.experiments.find_one({"_id": task["experiment"]}))
    assert experiment is not None
    assert (experiment["name"], experiment["tags"]) == ("reroute of left", ["reroute"])
    lab.becomes(task["_id"], TaskStatus.INITIATED)
    lab.claim(task["_id"])
    lab.records.samples.update_one({"_id": sample}, {"$set": {"position": None}, "$push": {"history": 2}})
    lab.end(task["_id"])
    lab.reaches(request, RequestStatus.FULFILLED)
    event = lab.records.events.find_one({"kind": "sample.rerouted", "subject": sample})
    assert event is not None
    assert event["facts"]["position"] == "furnace_1/slot/1"


def test_it_is_tried_once_for_each_time_the_sample_comes_there(lab: Lab) -> None:
    sample = stand(lab, "furnace_1/slot/1")
    waiting(lab, FURNACE)
    lab.until(lambda: reroutes(lab))
    lab.end(reroutes(lab)[0]["_id"], TaskStatus.ERROR)
    manager = RerouteManager(lab.records, lab.ground.catalog, lab.ground.bus, lab.ground.current_pin)
    manager.reconcile()
    assert len(reroutes(lab)) == 1
    lab.records.samples.update_one({"_id": sample}, {"$push": {"history": {"$each": [2, 3]}}})
    manager.reconcile()
    assert len(reroutes(lab)) == 2


@pytest.mark.parametrize(
    ("position", "want"),
    [
        ("furnace_2/slot/1", {**FURNACE, "key": "furnace_2", "name": "furnace_2"}),  # nothing is named for it
        ("furnace_1/slot/1", SLOTS),  # and the other furnace is not to be had for another reason
    ],
)
def test_a_sample_is_left_where_taking_it_away_is_not_said_or_would_not_help(
    lab: Lab, position: str, want: Document
) -> None:
    stand(lab, position)
    if want is SLOTS:
        lab.records.devices.update_many({}, {"$set": {"paused": True}})
    waiting(lab, want)
    RerouteManager(lab.records, lab.ground.catalog, lab.ground.bus, lab.ground.current_pin).reconcile()
    assert reroutes(lab) == []


def test_a_sample_that_work_remains_for_is_left(lab: Lab) -> None:
    sample = stand(lab, "furnace_1/slot/1")
    lab.records.tasks.update_one({"_id": lab.running_task()}, {"$set": {"samples": [sample], "status": "WAITING"}})
    waiting(lab, FURNACE)
    RerouteManager(lab.records, lab.ground.catalog, lab.ground.bus, lab.ground.current_pin).reconcile()
    assert reroutes(lab) == []


def test_no_more_samples_are_taken_away_than_needed(lab: Lab) -> None:
    lab.stop()
    lab.build()
    promote(lab, ["furnace_1", "furnace_2"])
    lab.start()
    for place in ("furnace_1/slot/1", "furnace_1/slot/2", "furnace_2/slot/2"):
        stand(lab, place)
    waiting(lab, SLOTS)
    lab.until(lambda: reroutes(lab))
    RerouteManager(lab.records, lab.ground.catalog, lab.ground.bus, lab.ground.current_pin).reconcile()
    places = {each["_id"]: each["position"] for each in lab.records.samples.find()}
    taken = {places[each] for task in reroutes(lab) for each in task["samples"]}
    assert taken in ({"furnace_2/slot/2"}, {"furnace_1/slot/1", "furnace_1/slot/2"})


def test_what_is_taken_away_for_one_request_serves_the_next(lab: Lab) -> None:
    lab.stop()
    lab.build()
    promote(lab, ["furnace_1", "furnace_2"])
    for place in ("furnace_1/slot/1", "furnace_2/slot/1"):
        stand(lab, place)
    for _ in range(2):
        request = lab.request(lab.running_task(), SLOTS)  # type: ignore[arg-type]
        lab.records.requests.update_one({"_id": request}, {"$set": {"waits_for": "a furnace"}})
    RerouteManager(lab.records, lab.ground.catalog, lab.ground.bus, lab.ground.current_pin).reconcile()
    assert len(reroutes(lab)) == 1
