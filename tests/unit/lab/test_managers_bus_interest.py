from __future__ import annotations

from typing import Any

import pytest

from lab.managers.bus import Bus
from lab.managers.changes import Changes


class Database:
    """Has one change stream, which tells the given events and then ends."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = events

    def watch(self, *_: object, **__: object) -> Database:
        return self

    def __enter__(self) -> list[dict[str, Any]]:
        return self._events

    def __exit__(self, *_: object) -> None:
        self._events = []


def update(**fields: object) -> dict[str, Any]:
    description = {"updatedFields": fields, "removedFields": []}
    return {"operationType": "update", "ns": {"coll": "tasks"}, "updateDescription": description}


def insert(**document: object) -> dict[str, Any]:
    return {"operationType": "insert", "ns": {"coll": "tasks"}, "fullDocument": document}


def woken(event: dict[str, Any], fields: Any) -> bool:
    """Whether the event wakes who subscribed with these fields; everybody is woken once at the start anyway."""
    calls: list[int] = []
    bus = Bus(Database([event]))  # type: ignore[arg-type]
    bus.subscribe("tasks", lambda: calls.append(1), fields)
    bus._listen()
    return len(calls) > 1


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (update(status="READY"), True),
        (update(status="RUNNING"), False),
        (update(message="READY"), False),
        (insert(status="READY"), True),
        (insert(status="RUNNING"), False),
        (insert(name="without"), True),
        ({"operationType": "delete", "ns": {"coll": "tasks"}}, True),
    ],
)
def test_values_of_interest_wake(event: dict[str, Any], expected: bool) -> None:
    assert woken(event, {"status": {"READY"}}) is expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [(update(status="RUNNING"), True), (update(message="hello"), False), (insert(status="RUNNING"), True)],
)
def test_a_field_without_values_wakes_for_all_of_them(event: dict[str, Any], expected: bool) -> None:
    assert woken(event, {"status"}) is expected


def test_part_of_a_field_counts_as_the_field() -> None:
    assert woken(update(**{"pin.snapshot": "a"}), {"pin"})


def test_who_wants_to_know_is_told_which_documents_changed() -> None:
    changes = Changes()
    events = [{**update(status=status), "documentKey": {"_id": status}} for status in ("READY", "RUNNING")]
    bus = Bus(Database(events))  # type: ignore[arg-type]
    bus.subscribe("tasks", lambda: None, {"status": {"READY"}}, changes)
    changes.take()
    bus._listen()
    taken = changes.take()
    assert taken.everything, "what changed before it listened is not known"
    assert taken.of("tasks") == {"READY"}


def test_a_collection_that_is_dropped_counts_as_changed_as_a_whole() -> None:
    changes = Changes()
    changes.take()
    bus = Bus(Database([]))  # type: ignore[arg-type]
    bus.subscribe("tasks", lambda: None, changes=changes)
    bus._tell({"operationType": "drop", "ns": {"coll": "tasks"}})
    assert changes.take().everything
