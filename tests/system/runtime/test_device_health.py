"""Devices that are not well: found out, given up, connected again by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from managed_devices import OLD, Managed

from lab.records import now

pytestmark = pytest.mark.system

PUMP = """
class Pump(Furnace):
    check_health_seconds = 0.02

    def check_health(self):
        self.note("asked")
        if self.name == "pump" and os.path.exists(self.trace + ".leaking"):
            raise OSError("it leaks")


add_device(Pump, name="pump", trace=TRACE)
add_device(Pump, name="shelf", trace=TRACE, shares="pump")
"""


@pytest.fixture
def children(make_children: Callable[[str], Any]) -> Iterator[Any]:
    made = make_children(PUMP)
    yield made
    made.close()


@pytest.fixture
def pumping(records: Any, children: Any, arguments: dict[str, Any], eventually: Any) -> Iterator[Managed]:
    made = Managed(records, children, arguments, eventually)
    made.describe(OLD, {"pump": "p1", "shelf": "s1"}, group="pump")
    made.start()
    try:
        made.bound("pump", OLD)
        made.bound("shelf", OLD)
        yield made
    finally:
        made.close()


@pytest.fixture
def marks(pumping: Managed) -> Callable[[str], Path]:
    """Files that decide how the pump is."""
    return lambda name: pumping.children.trees[OLD] / "tiny_lab" / f"trace.{name}"


def asked(pumping: Managed, name: str) -> int:
    """How often the device was asked whether it is well."""
    trace = pumping.children.trees[OLD] / "tiny_lab" / "trace"
    return trace.read_text().splitlines().count(f"{name} old asked")


def in_error(pumping: Managed) -> Any:
    return pumping.eventually(lambda: pumping.records.devices.find_one({"_id": "pump", "state": "error"}))


def test_a_free_device_that_is_not_well_is_in_error_and_comes_back_by_itself(
    pumping: Managed, marks: Callable[[str], Path]
) -> None:
    shelf = pumping.device("shelf")["binding"]["bound_at"]
    marks("leaking").touch()
    marks("broken-old").touch()
    pump = in_error(pumping)
    assert pump["error"] == "OSError: it leaks"
    assert (pump["binding"], pump["retry"]["failures"]) == (None, 1)
    tried = pumping.eventually(lambda: pumping.records.devices.find_one({"_id": "pump", "error": "no such port"}))
    assert tried["connects"] == 1
    marks("leaking").unlink()
    marks("broken-old").unlink()
    pumping.bound("pump", OLD)
    healed = pumping.device("pump")
    assert (healed["error"], healed["retry"], healed["ailing"], healed["connects"]) == (None, None, None, 2)
    assert pumping.device("shelf")["binding"]["bound_at"] == shelf
    assert pumping.device("shelf")["connects"] == 1


def test_a_device_is_tried_again_and_again_less_and_less_often(pumping: Managed, marks: Callable[[str], Path]) -> None:
    marks("leaking").touch()
    marks("broken-old").touch()
    failed = {"_id": "pump", "state": "error"}
    waits = []
    for failures in (1, 2, 3):
        found = pumping.eventually(
            lambda failures=failures: pumping.records.devices.find_one({**failed, "retry.failures": failures})
        )
        waits.append(found["retry"]["at"])
    assert (waits[2] - waits[1]).total_seconds() >= 4.0
    assert (waits[1] - waits[0]).total_seconds() >= 2.0


def test_a_release_tries_at_once_and_begins_with_short_pauses(pumping: Managed, marks: Callable[[str], Path]) -> None:
    marks("leaking").touch()
    marks("broken-old").touch()
    in_error(pumping)
    pumping.manager.stop()  # so that nobody else tries
    later = {"failures": 9, "at": now() + timedelta(seconds=290)}
    pumping.records.devices.update_one({"_id": "pump"}, {"$set": {"state": "error", "retry": later}})
    marks("leaking").unlink()
    marks("broken-old").unlink()
    pumping.manager.release("pump")
    assert (pumping.device("pump")["state"], pumping.device("pump")["retry"]) == ("unbound", None)
    pumping.start()
    pumping.bound("pump", OLD)


def test_a_device_that_a_task_holds_is_left_alone(pumping: Managed, marks: Callable[[str], Path]) -> None:
    pumping.grant("pump")
    fence = pumping.device("pump")["fence"]
    assert pumping.ask("pump", fence, "which") == "old"  # what was being asked has been answered
    pumps, shelves = asked(pumping, "pump"), asked(pumping, "shelf")
    marks("leaking").touch()
    pumping.eventually(lambda: asked(pumping, "shelf") > shelves + 5)
    assert asked(pumping, "pump") == pumps
    pumping.driver("pump").call("revoke", device="pump", fence=fence)
    pumping.free("pump")
    assert in_error(pumping)["error"] == "OSError: it leaks"


def test_a_paused_device_is_left_as_it_is_until_its_release(pumping: Managed, marks: Callable[[str], Path]) -> None:
    pumping.manager.pause("pump")
    marks("leaking").touch()
    pumping.eventually(lambda: pumping.device("pump").get("ailing"))
    pumping.manager.reconcile()
    assert pumping.device("pump")["state"] == "free"
    pumping.manager.release("pump")
    in_error(pumping)


def test_a_device_that_gets_well_while_it_is_paused_is_not_given_up(
    pumping: Managed, marks: Callable[[str], Path]
) -> None:
    pumping.manager.pause("pump")
    marks("leaking").touch()
    pumping.eventually(lambda: pumping.device("pump").get("ailing"))
    marks("leaking").unlink()
    pumping.eventually(lambda: pumping.device("pump")["ailing"] is None)
    pumping.manager.release("pump")
    assert pumping.bound("pump", OLD)["connects"] == 1
