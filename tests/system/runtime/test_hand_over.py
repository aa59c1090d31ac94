"""A device keeps its state when its driver changes, whatever fails or is killed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from managed_devices import NEW, OLD, Managed

from hotswap.errors import RemoteError
from lab.managers.barrier_gate import BarrierStep, barriers_of
from lab.records import HandOver, HandOverStep, Records
from lab.refusals import ConflictError

pytestmark = pytest.mark.system

Trace = Callable[[str], list[str]]


@pytest.fixture
def alone(records: Records, children: Any, arguments: dict[str, Any], eventually: Any) -> Iterator[Managed]:
    """A laboratory with a furnace and nothing else."""
    made = Managed(records, children, arguments, eventually)
    made.describe(OLD, {"furnace": "d1"})
    made.describe(NEW, {"furnace": "d2"})
    made.start()
    try:
        made.bound("furnace", OLD)
        yield made
    finally:
        made.close()


@pytest.fixture
def hot(alone: Managed) -> Managed:
    """The old driver of the furnace was given a setpoint."""
    alone.use("furnace", "heat", 900)
    return alone


def mark(managed: Managed, snapshot: str, what: str) -> None:
    """Make the driver of a code version meet with something."""
    version = "old" if snapshot == OLD else "new"
    (managed.children.trees[snapshot] / "tiny_lab" / f"trace.{what}-{version}").touch()


def unmark(managed: Managed, snapshot: str, what: str) -> None:
    version = "old" if snapshot == OLD else "new"
    (managed.children.trees[snapshot] / "tiny_lab" / f"trace.{what}-{version}").unlink()


def test_the_new_driver_takes_the_state_over_and_reads_it_back(hot: Managed, trace: Trace) -> None:
    hot.promote(NEW)
    furnace = hot.bound("furnace", NEW)
    assert trace(NEW) == ["furnace new connect", "furnace new import 900", "furnace new verify 900"]
    assert hot.use("furnace", "told") == 900
    assert (furnace["hand_over"], furnace["rebind_to"]) == (None, None)


def test_state_travels_in_either_direction(hot: Managed) -> None:
    hot.promote(NEW)
    hot.bound("furnace", NEW)
    hot.use("furnace", "heat", 650)
    hot.promote(OLD)
    hot.bound("furnace", OLD)
    assert hot.use("furnace", "told") == 650


def test_a_device_without_state_is_only_connected(alone: Managed, trace: Trace) -> None:
    alone.promote(NEW)
    alone.bound("furnace", NEW)
    assert trace(NEW) == ["furnace new connect"]


def test_state_that_cannot_be_kept_leaves_the_device_connected_and_says_why(hot: Managed, trace: Trace) -> None:
    mark(hot, OLD, "secretive")
    hot.promote(NEW)
    hot.eventually(lambda: hot.events("device.rebind_failed"))
    furnace = hot.bound("furnace", OLD)
    assert "What export_state of furnace returns is a builtins.object" in furnace["error"]
    assert (furnace["connects"], furnace["disconnects"]) == (1, 0)
    assert "furnace old disconnect" not in trace(OLD)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        pytest.param("broken", "no such port", marks=pytest.mark.long),
        pytest.param("choosy", "no such setpoint", marks=pytest.mark.long),
        ("drifting", "verify_state says no"),
    ],
)
def test_a_new_driver_that_fails_gives_the_device_back_with_its_state(hot: Managed, what: str, reason: str) -> None:
    mark(hot, NEW, what)
    hot.promote(NEW)
    hot.eventually(lambda: hot.events("device.rebind_failed"))
    furnace = hot.bound("furnace", OLD)
    assert reason in furnace["error"]
    assert hot.use("furnace", "told") == 900


def test_a_device_that_neither_driver_takes_back_is_in_error_with_both_reasons(hot: Managed) -> None:
    mark(hot, NEW, "broken")
    mark(hot, OLD, "choosy")
    hot.promote(NEW)
    furnace = hot.eventually(lambda: hot.records.devices.find_one({"_id": "furnace", "state": "error"}))
    assert furnace["error"] == "no such port; with the driver before: no such setpoint"
    assert (furnace["binding"], furnace["hand_over"]) == (None, None)


def test_a_driver_that_failed_is_tried_again_with_the_next_generation(hot: Managed) -> None:
    mark(hot, NEW, "broken")
    hot.promote(NEW)
    hot.eventually(lambda: hot.events("device.rebind_failed"))
    hot.bound("furnace", OLD)
    unmark(hot, NEW, "broken")
    hot.promote(NEW)
    assert hot.bound("furnace", NEW)["error"] is None
    assert hot.use("furnace", "told") == 900


@pytest.mark.long
def test_a_driver_that_failed_is_tried_again_when_somebody_releases_the_device(hot: Managed) -> None:
    mark(hot, NEW, "broken")
    hot.promote(NEW)
    hot.eventually(lambda: hot.events("device.rebind_failed"))
    hot.bound("furnace", OLD)
    unmark(hot, NEW, "broken")
    hot.manager.release("furnace")
    hot.bound("furnace", NEW)


def test_a_new_driver_that_dies_taking_over_is_started_again_and_takes_over(hot: Managed) -> None:
    mark(hot, NEW, "mortal")
    hot.promote(NEW)
    hot.bound("furnace", NEW)
    assert hot.use("furnace", "told") == 900
    assert not hot.events("device.rebind_failed")


# What the managers leave behind when they are killed after each step that they persist.


def interrupt(managed: Managed, step: str, state: Any) -> None:
    """Leave the document as killed managers do, at a step on the way to the new driver."""
    managed.stop()
    moving = HandOver(step=step, state=state, together=["furnace"])
    fields = {"state": "rebinding", "rebind_to": NEW, "hand_over": moving}
    managed.records.devices.update_one({"_id": "furnace"}, {"$set": fields})


def new_driver(managed: Managed) -> Any:
    arguments = {**managed.arguments, "devices": ["furnace"]}
    return managed.children.ensure(f"driver-furnace-{'b' * 12}", NEW, "lab.drivers:main", arguments)


def test_killed_before_the_state_was_persisted_it_never_leaves_its_driver(hot: Managed, trace: Trace) -> None:
    interrupt(hot, "exporting", None)
    hot.start()
    hot.bound("furnace", OLD)
    assert hot.use("furnace", "told") == 900
    assert trace(OLD).count("furnace old connect") == 1


@pytest.mark.long
def test_killed_between_the_two_drivers_it_returns_with_its_state(hot: Managed) -> None:
    old = hot.driver("furnace")
    interrupt(hot, "disconnecting", {"setpoint": 900})
    old.call("disconnect", device="furnace")
    hot.start()
    hot.bound("furnace", OLD)
    assert hot.use("furnace", "told") == 900


def test_killed_between_the_two_drivers_together_with_the_old_one_it_returns_with_its_state(hot: Managed) -> None:
    old = hot.driver("furnace")
    interrupt(hot, "connecting", {"setpoint": 900})
    old.kill()
    hot.start()
    hot.bound("furnace", OLD)
    assert hot.use("furnace", "told") == 900


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("connecting", marks=pytest.mark.long),
        "importing",
        pytest.param("verifying", marks=pytest.mark.long),
    ],
)
def test_killed_once_the_new_driver_is_connected_it_takes_the_state_over(hot: Managed, step: str) -> None:
    hot.driver("furnace").call("disconnect", device="furnace")
    interrupt(hot, step, {"setpoint": 900})
    new_driver(hot).call("connect", device="furnace")
    hot.promote(NEW)
    hot.start()
    hot.bound("furnace", NEW)
    assert hot.use("furnace", "told") == 900


def test_killed_while_it_was_undone_it_is_undone(hot: Managed) -> None:
    hot.driver("furnace").call("disconnect", device="furnace")
    interrupt(hot, "importing", {"setpoint": 900})
    new_driver(hot).call("connect", device="furnace")
    failed = {"failed_digest": "d2", "failed_generation": 2, "error": "no such setpoint"}
    hot.records.devices.update_one({"_id": "furnace"}, {"$set": failed})
    hot.promote(NEW)
    hot.start()
    furnace = hot.bound("furnace", OLD)
    assert furnace["error"] == "no such setpoint"
    assert hot.use("furnace", "told") == 900


# An emergency stop between two drivers.


def test_a_device_stopped_between_two_drivers_is_connected_with_neither_until_its_release(
    hot: Managed, trace: Trace
) -> None:
    hot.driver("furnace").call("disconnect", device="furnace")
    interrupt(hot, "connecting", {"setpoint": 900})
    hot.records.devices.update_one({"_id": "furnace"}, {"$set": {"paused": True, "stopped": True, "stops": 1}})
    before = trace(OLD)
    hot.start()
    hot.promote(NEW)
    hot.describe("c" * 64, {"furnace": "d2", "other": "o2"})
    hot.children.trees["c" * 64] = hot.children.trees[NEW]
    hot.promote("c" * 64)
    hot.bound("other", "c" * 64)
    assert hot.device("furnace")["state"] == "rebinding"
    assert not [line for line in trace(OLD)[len(before) :] if line.startswith("furnace")]
    hot.manager.release("furnace")
    hot.bound("furnace", "c" * 64)
    assert hot.use("furnace", "told") is None, "what was stopped goes on"


def test_a_stop_that_finds_no_driver_connected_keeps_the_new_one_from_connecting(
    hot: Managed, monkeypatch: pytest.MonkeyPatch, trace: Trace
) -> None:
    """It comes when the new driver was already told to connect, as far as the managers know."""
    connect = hot.manager._steps.connect
    told: list[str] = []

    def stop_first(device: Any, driver: Any) -> None:
        if told:
            connect(device, driver)
            return
        with pytest.raises(ConflictError, match="furnace is paused, but was not stopped"):
            hot.manager.emergency_stop("furnace")
        with pytest.raises(RemoteError, match="so it was not connected") as refused:
            driver.call("connect", device["_id"], stops=0)
        told.extend(trace(NEW) or ["nothing"])
        raise refused.value

    monkeypatch.setattr(hot.manager._steps, "connect", stop_first)
    hot.promote(NEW)
    hot.eventually(lambda: told == ["nothing"])
    hot.eventually(lambda: released(hot))
    hot.bound("furnace", NEW)
    assert hot.use("furnace", "told") is None, "what was stopped goes on"


def released(managed: Managed) -> bool:
    """Release the furnace unless it is just being connected."""
    try:
        managed.manager.release("furnace")
    except ConflictError:
        return False
    return True


def test_a_device_that_new_code_lacks_leaves_for_a_barrier_though_its_state_cannot_be_kept(hot: Managed) -> None:
    hot.describe(NEW, {"other": "o1"})
    mark(hot, OLD, "secretive")
    barrier = {"_id": "b", "snapshot": NEW, "follows": 1, "step": str(BarrierStep.QUIET), "steps": [], "admitted": []}
    barriers_of(hot.records.database).insert_one({**barrier, "blockers": [], "left": [], "outcome": None})
    hot.manager.wake()
    hot.eventually(lambda: hot.manager.unsettled() == [])
    assert hot.device("furnace")["hand_over"]["step"] == HandOverStep.APART
    barriers_of(hot.records.database).update_one({"_id": "b"}, {"$set": {"outcome": "undone"}})
    hot.manager.wake()
    assert hot.bound("furnace", OLD)["disconnects"] == 1
