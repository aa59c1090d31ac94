"""The device manager with real driver processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from managed_devices import Managed

from hotswap.errors import HotswapError, RemoteError
from lab.managers import devices
from lab.managers._device_steps import Steps
from lab.records import NEEDING, Pin, TaskStatus, new_task
from lab.refusals import ConflictError

pytestmark = pytest.mark.system
OLD, NEW = "a" * 64, "b" * 64


def test_new_devices_are_connected_and_get_their_positions(managed: Managed) -> None:
    furnace = managed.device("furnace")
    assert (furnace["connects"], furnace["group"], furnace["type"]) == (1, "furnace", "tiny_lab:Furnace")
    assert furnace["binding"]["digest"] == "d1"
    assert managed.records.positions.distinct("_id", {"device": "furnace"}) == ["furnace/slot/1", "furnace/slot/2"]


def test_a_changed_driver_is_rebound_and_an_unchanged_one_is_left_alone(
    managed: Managed, trace: Callable[[str], list[str]]
) -> None:
    managed.promote(NEW)
    furnace = managed.bound("furnace", NEW)
    assert (furnace["connects"], furnace["disconnects"], furnace["binding"]["generation"]) == (2, 1, 2)
    assert (managed.device("other")["connects"], managed.device("other")["disconnects"]) == (1, 0)
    assert sorted(trace(OLD)) == ["furnace old connect", "furnace old disconnect", "other old connect"]
    assert trace(NEW) == ["furnace new connect"]


def test_the_driver_process_nobody_is_bound_to_any_more_ends(managed: Managed) -> None:
    managed.promote(NEW)
    managed.bound("furnace", NEW)
    managed.eventually(
        lambda: sorted(managed.children.running) == [f"driver-furnace-{'b' * 12}", f"driver-other-{'a' * 12}"]
    )


def test_a_granted_device_is_rebound_after_its_release(managed: Managed) -> None:
    managed.grant("furnace")
    managed.describe("c" * 64, {"furnace": "d2", "other": "o2"})
    managed.children.trees["c" * 64] = managed.children.trees[NEW]
    managed.promote("c" * 64)
    managed.bound("other", "c" * 64)
    assert managed.device("furnace")["binding"]["snapshot"] == OLD
    managed.free("furnace")
    managed.bound("furnace", "c" * 64)


def test_a_device_that_is_running_is_not_rebound_until_it_says_otherwise(managed: Managed) -> None:
    mark = managed.children.trees[OLD] / "tiny_lab" / "trace.running"
    mark.touch()
    managed.promote(NEW)
    managed.eventually(lambda: f"driver-furnace-{'b' * 12}" in managed.children.running)
    assert managed.device("furnace")["binding"]["snapshot"] == OLD
    mark.unlink()
    managed.bound("furnace", NEW)


def test_a_paused_device_is_rebound_after_its_release(managed: Managed) -> None:
    managed.manager.pause("furnace")
    managed.describe("c" * 64, {"furnace": "d2", "other": "o2"})
    managed.children.trees["c" * 64] = managed.children.trees[NEW]
    managed.promote("c" * 64)
    managed.bound("other", "c" * 64)
    assert managed.device("furnace")["binding"]["snapshot"] == OLD
    managed.manager.release("furnace")
    managed.bound("furnace", "c" * 64)


def test_a_driver_that_does_not_connect_leaves_the_old_one_in_place(managed: Managed) -> None:
    (managed.children.trees[NEW] / "tiny_lab" / "trace.broken-new").touch()
    managed.promote(NEW)
    managed.eventually(lambda: managed.events("device.rebind_failed"))
    furnace = managed.bound("furnace", OLD)
    assert "no such port" in furnace["error"]
    assert managed.driver("furnace").call("status", device="furnace")["connected"]


def test_a_device_that_connects_with_neither_driver_is_in_error_until_it_is_released(managed: Managed) -> None:
    new, old = managed.children.trees[NEW] / "tiny_lab", managed.children.trees[OLD] / "tiny_lab"
    (new / "trace.broken-new").touch()
    (old / "trace.broken-old").touch()
    managed.promote(NEW)
    managed.eventually(lambda: managed.device("furnace")["state"] == "error")
    managed.eventually(lambda: managed.events("device.error"))
    (new / "trace.broken-new").unlink()
    managed.manager.release("furnace")
    managed.bound("furnace", NEW)


def test_the_next_request_decides_which_driver_a_free_device_has(managed: Managed) -> None:
    managed.promote(NEW)
    managed.bound("furnace", NEW)
    managed.manager.want({"furnace": OLD})
    managed.bound("furnace", OLD)
    managed.manager.want({})
    managed.bound("furnace", NEW)


def test_devices_that_share_a_handle_move_together(managed: Managed) -> None:
    managed.describe("c" * 64, {"furnace": "d1", "other": "o1"}, group="door")
    managed.children.trees["c" * 64] = managed.children.trees[NEW]
    managed.describe("d" * 64, {"furnace": "d1", "other": "o9"}, group="door")
    managed.children.trees["d" * 64] = managed.children.trees[OLD]
    managed.describe(OLD, {"furnace": "d0", "other": "o0"})
    managed.restart()
    managed.records.devices.update_many({}, {"$set": {"binding.digest": "stale"}})
    managed.promote("c" * 64)
    assert (
        managed.bound("furnace", "c" * 64)["binding"]["process"]
        == managed.bound("other", "c" * 64)["binding"]["process"]
    )
    managed.promote("d" * 64)
    managed.bound("other", "d" * 64)
    managed.bound("furnace", "d" * 64)


def test_after_a_crash_of_its_driver_a_free_device_is_connected_again(managed: Managed) -> None:
    before = managed.device("furnace")["binding"]["address"]
    managed.driver("furnace").kill()
    managed.eventually(lambda: managed.device("furnace")["connects"] == 2)
    managed.eventually(lambda: managed.device("furnace")["binding"]["address"] != before)
    assert managed.device("other")["connects"] == 1


def test_after_a_crash_of_its_driver_the_holder_goes_on_with_a_new_fence(managed: Managed) -> None:
    request = managed.grant("furnace")
    managed.driver("furnace").kill()
    renewed = {"_id": request, "grant.devices.fence": 2}
    document: Any = managed.eventually(lambda: managed.records.requests.find_one(renewed))
    furnace = managed.device("furnace")
    assert (furnace["state"], furnace["holder"], furnace["fence"]) == ("granted", "t1", 2)
    assert document["grant"]["devices"][0]["address"] == furnace["binding"]["address"]
    assert managed.which("furnace", 2) == "old"


def test_a_holder_is_told_a_fence_that_managers_died_before_telling(managed: Managed) -> None:
    request = managed.grant("furnace")
    managed.stop()
    managed.driver("furnace").call("grant", device="furnace", fence=2, task="t1")
    managed.records.devices.update_one({"_id": "furnace"}, {"$set": {"fence": 2}})
    managed.start()
    renewed = {"_id": request, "grant.devices.fence": 3}
    managed.eventually(lambda: managed.records.requests.find_one(renewed))
    assert managed.which("furnace", 3) == "old"


def test_a_grant_that_is_complete_when_restarted_managers_look_again_is_left_alone(
    managed: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They asked the driver before it knew, and see afterwards that the task was told."""
    request = managed.grant("furnace")
    managed.stop()
    asked, status = [], Steps.status

    def too_early(steps: Steps, device: Any, driver: Any) -> Any:
        asked.append(device["_id"])
        found = status(steps, device, driver)
        return {**found, "fence": None} if asked.count("furnace") == 1 else found

    monkeypatch.setattr(Steps, "status", too_early)
    managed.start()
    managed.eventually(lambda: asked.count("furnace") > 1)
    managed.stop()
    assert managed.device("furnace")["fence"] == 1
    assert managed.records.requests.find_one({"_id": request, "grant.devices.fence": 1})
    assert managed.which("furnace", 1) == "old"


def test_a_restart_of_the_managers_touches_no_device(managed: Managed, trace: Callable[[str], list[str]]) -> None:
    managed.grant("furnace")
    managed.restart()
    managed.promote(NEW)
    managed.free("furnace")
    managed.bound("furnace", NEW)
    assert sorted(trace(OLD)) == ["furnace old connect", "furnace old disconnect", "other old connect"]
    assert managed.device("other")["connects"] == 1


@pytest.mark.parametrize("connected", [False, True])
def test_a_rebinding_cut_off_by_a_crash_is_finished_or_undone(managed: Managed, connected: bool) -> None:
    managed.stop()
    managed.pin = Pin(**{**managed.pin, "snapshot": NEW if connected else OLD})
    managed.records.devices.update_one({"_id": "furnace"}, {"$set": {"state": "rebinding", "rebind_to": NEW}})
    managed.driver("furnace").call("disconnect", device="furnace")
    name = f"driver-furnace-{'b' * 12}"
    half = managed.children.ensure(name, NEW, "lab.drivers:main", {**managed.arguments, "devices": ["furnace"]})
    if connected:
        half.call("connect", device="furnace")
    managed.start()
    furnace = managed.bound("furnace", NEW if connected else OLD)
    assert furnace["connects"] == 2


def test_a_driver_that_died_while_the_managers_were_down_is_replaced(managed: Managed) -> None:
    managed.stop()
    managed.driver("furnace").kill()
    managed.start()
    managed.eventually(lambda: managed.device("furnace")["connects"] == 2)
    assert managed.device("other")["connects"] == 1


@pytest.mark.parametrize("status", NEEDING)
def test_a_removed_device_retires_when_no_unfinished_task_knows_it(managed: Managed, status: TaskStatus) -> None:
    managed.describe("c" * 64, {"other": "o1"})
    task = {**new_task("Adding", {}, samples=[], experiment="e"), "status": status, "pin": managed.pin}
    managed.records.tasks.insert_one(task)  # type: ignore[arg-type]
    managed.promote("c" * 64)
    managed.manager.reconcile()
    assert (managed.manager.unsettled(), managed.device("furnace")["state"]) == ([], "free")
    assert managed.records.positions.count_documents({"device": "furnace"}) == 2
    managed.records.tasks.update_one({"_id": task["_id"]}, {"$set": {"status": "COMPLETED"}})
    managed.manager.wake()
    managed.eventually(lambda: managed.device("furnace")["state"] == "retired")
    managed.manager.wake()
    managed.eventually(lambda: managed.records.positions.count_documents({"device": "furnace"}) == 0)


def test_a_device_of_a_pinned_task_stays_when_code_goes_live_that_others_are_pinned_to(managed: Managed) -> None:
    """The versions in use are the same before and after; only which of them is current is not."""
    managed.describe("c" * 64, {"other": "o1"})
    for snapshot in (OLD, "c" * 64):
        pin = {**managed.pin, "snapshot": snapshot}
        task = {**new_task("Adding", {}, samples=[], experiment="e"), "status": TaskStatus.WAITING, "pin": pin}
        managed.records.tasks.insert_one(task)  # type: ignore[arg-type]
    managed.manager.reconcile()
    managed.promote("c" * 64)
    managed.manager.reconcile()
    assert (managed.manager.unsettled(), managed.device("furnace")["state"]) == ([], "free")


def test_a_device_comes_for_a_task_that_is_moved_to_code_with_it(managed: Managed) -> None:
    managed.describe(NEW, {"furnace": "d1", "other": "o1", "unwritten": "u1"})
    task = {**new_task("Adding", {}, samples=[], experiment="e"), "status": TaskStatus.READY}
    managed.records.tasks.insert_one(task)  # type: ignore[arg-type]
    managed.manager.reconcile()
    pin = {**managed.pin, "snapshot": NEW}
    managed.records.tasks.update_one({"_id": task["_id"]}, {"$set": {"pin": pin}})
    managed.eventually(lambda: managed.records.devices.find_one({"_id": "unwritten", "state": "error"}))


def test_a_removed_position_goes_when_no_sample_stands_there(managed: Managed) -> None:
    managed.records.samples.insert_one({"_id": "s", "name": "s", "position": "furnace/slot/1"})  # type: ignore[typeddict-item]
    managed.describe("c" * 64, {"other": "o1"})
    managed.promote("c" * 64)
    managed.manager.reconcile()
    assert managed.records.positions.distinct("_id", {"device": "furnace"}) == ["furnace/slot/1"]
    managed.records.samples.update_one({"_id": "s"}, {"$set": {"position": None}})
    managed.manager.reconcile()
    assert managed.records.positions.count_documents({"device": "furnace"}) == 0


def test_a_retired_device_comes_back_for_a_retried_task(managed: Managed) -> None:
    managed.describe("c" * 64, {"other": "o1"})
    task = {**new_task("Adding", {}, samples=[], experiment="e"), "status": "ERROR", "pin": managed.pin}
    managed.records.tasks.insert_one(task)  # type: ignore[arg-type]
    managed.promote("c" * 64)
    managed.eventually(lambda: managed.device("furnace")["state"] == "retired")
    managed.manager.wake()
    managed.eventually(lambda: managed.records.positions.count_documents({"device": "furnace"}) == 0)
    managed.records.tasks.update_one({"_id": task["_id"]}, {"$set": {"status": "READY"}})
    managed.bound("furnace", OLD)
    assert managed.records.positions.count_documents({"device": "furnace"}) == 2


def test_a_revoked_holder_is_refused_by_the_driver(managed: Managed) -> None:
    managed.grant("furnace")
    assert managed.which("furnace", 1) == "old"
    managed.manager.revoke("furnace")
    assert managed.device("furnace")["fence"] == 2
    with pytest.raises(RemoteError) as caught:
        managed.which("furnace", 1)
    assert caught.value.kind == "FenceError"


def test_a_holder_is_revoked_before_restarted_managers_know_the_driver(managed: Managed) -> None:
    managed.grant("furnace")
    managed.stop()
    managed.fresh().revoke("furnace")
    with pytest.raises(RemoteError) as caught:
        managed.which("furnace", 1)
    assert caught.value.kind == "FenceError"


def test_a_device_whose_driver_hangs_is_not_said_to_be_revoked(
    managed: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_OP_SECONDS", 0.1)
    managed.driver("furnace").process.send_signal(19)  # stopped, it answers nothing
    with pytest.raises(ConflictError, match="furnace was not taken from its holder"):
        managed.manager.revoke("furnace")
    assert not managed.events("device.revoked")


def test_a_device_whose_driver_is_gone_is_revoked(managed: Managed) -> None:
    managed.stop()
    managed.driver("furnace").kill()
    managed.fresh().revoke("furnace")
    assert len(managed.events("device.revoked")) == 1


def test_emergency_stop_stops_and_pauses(managed: Managed, trace: Callable[[str], list[str]]) -> None:
    assert managed.manager.emergency_stop("furnace") is True
    assert "furnace old emergency_stop" in trace(OLD)
    assert managed.device("furnace")["paused"]


def test_a_stopped_device_stays_stopped_after_a_crash_of_its_driver(managed: Managed) -> None:
    managed.grant("furnace")
    managed.manager.emergency_stop("furnace")
    managed.driver("furnace").kill()
    managed.eventually(lambda: managed.device("furnace")["fence"] == 2)
    managed.eventually(lambda: managed.driver("furnace").call("status", device="furnace")["fence"] == 2)
    with pytest.raises(RemoteError, match="stopped in an emergency"):
        managed.which("furnace", 2)
    managed.manager.release("furnace")
    assert managed.which("furnace", 2) == "old"


def test_release_reconnects_a_device_that_was_stopped(managed: Managed, trace: Callable[[str], list[str]]) -> None:
    managed.manager.emergency_stop("furnace")
    before = managed.device("furnace")["connects"]
    managed.manager.release("furnace")
    assert trace(OLD)[-2:] == ["furnace old disconnect", "furnace old connect"]
    device = managed.device("furnace")
    assert (device["paused"], device["connects"]) == (False, before + 1)


def test_release_of_a_pause_reconnects_nothing(managed: Managed, trace: Callable[[str], list[str]]) -> None:
    before = trace(OLD)
    managed.manager.pause("furnace")
    managed.manager.release("furnace")
    assert trace(OLD) == before


def test_a_device_whose_emergency_stop_fails_is_paused_all_the_same(managed: Managed) -> None:
    (managed.children.trees[OLD] / "tiny_lab" / "trace.jammed").touch()
    with pytest.raises(HotswapError, match=r"furnace is paused, but was not stopped \(no answer\)"):
        managed.manager.emergency_stop("furnace")
    furnace = managed.device("furnace")
    assert (furnace["paused"], furnace["stopped"]) == (True, True)


def test_emergency_stop_reaches_a_device_that_is_being_rebound(
    managed: Managed, trace: Callable[[str], list[str]]
) -> None:
    (managed.children.trees[NEW] / "tiny_lab" / "trace.homing").touch()
    managed.promote(NEW)
    managed.eventually(lambda: trace(NEW) == ["furnace new connect"])
    assert managed.device("furnace")["state"] == "rebinding"
    assert managed.manager.emergency_stop("furnace") is True
    assert trace(NEW) == ["furnace new connect", "furnace new emergency_stop"]
    assert managed.bound("furnace", NEW)["paused"]


def test_emergency_stop_works_before_restarted_managers_know_the_driver(
    managed: Managed, trace: Callable[[str], list[str]]
) -> None:
    managed.stop()
    assert managed.fresh().emergency_stop("furnace") is True
    assert trace(OLD)[-1] == "furnace old emergency_stop"


def test_emergency_stop_replaces_a_driver_process_that_does_not_react(
    managed: Managed, trace: Callable[[str], list[str]]
) -> None:
    hanging = managed.driver("furnace")
    hanging.process.send_signal(19)  # stopped, it answers nothing
    assert managed.manager.emergency_stop("furnace") is True
    assert not hanging.alive()
    assert trace(OLD)[-2:] == ["furnace old connect", "furnace old emergency_stop"]


def test_shutdown_disconnects_everything_and_leaves_no_process(
    managed: Managed, trace: Callable[[str], list[str]]
) -> None:
    managed.manager.shutdown()
    assert managed.children.running == {}
    assert sorted(trace(OLD))[1::2] == ["furnace old disconnect", "other old disconnect"]
    assert {each["state"] for each in managed.records.devices.find()} == {"unbound"}
