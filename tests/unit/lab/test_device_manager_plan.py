"""What the device manager decides to do next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lab.catalog import Definitions
from lab.managers._device_plan import Bind, GiveUp, Restore, Retire, Situation, next_step, share_groups
from lab.managers._drivers import process_name
from lab.managers._retrying import delay_after, next_retry
from lab.records import Device, Retry, now


def definitions(snapshot: str, group: str | None = None, **drivers: str) -> Definitions:
    devices = {name: {"group": group or name, "class": "m:C", "positions": []} for name in drivers}
    return Definitions(snapshot, "lab", devices=devices, tasks={}, positions=[], drivers=drivers)


def situation(current: Definitions, **changes: Any) -> Situation:
    return Situation(**{"current": current, "wanted": {}, "verified": lambda *_: True, "pinned": (), **changes})


def device(name: str = "f", state: str = "free", digest: str | None = "d1", **changes: Any) -> Device:
    binding = None if digest is None else {"snapshot": "s1", "digest": digest, "process": f"driver-{name}-s1"}
    plain: Any = {"_id": name, "group": name, "state": state, "binding": binding, "paused": False, **changes}
    return plain


CURRENT = definitions("s2", f="d2")
DOOR = definitions("s2", "door", a="d2", b="d2")
NOW = now()


def test_nothing_is_done_when_the_driver_is_the_same() -> None:
    assert next_step([device()], situation(definitions("s2", f="d1"))) is None


def test_a_free_device_with_another_driver_is_bound() -> None:
    assert next_step([device()], situation(CURRENT)) == Bind([device()], CURRENT)


def test_an_unbound_device_is_bound() -> None:
    unbound = device(state="unbound", digest=None)
    assert next_step([unbound], situation(CURRENT)) == Bind([unbound], CURRENT)


@pytest.mark.parametrize("changes", [{"state": "granted"}, {"state": "retired"}, {"paused": True}])
def test_a_device_that_is_held_retired_or_paused_is_left_alone(changes: dict[str, Any]) -> None:
    assert next_step([device(**changes)], situation(CURRENT)) is None


def test_the_next_request_counts_more_than_the_current_version() -> None:
    wanted = definitions("s0", f="d1")
    assert next_step([device()], situation(CURRENT, wanted={"f": wanted})) is None


def test_a_driver_that_failed_is_not_tried_again() -> None:
    assert next_step([device(failed_digest="d2")], situation(CURRENT)) is None


def test_another_driver_than_the_one_that_failed_is_tried() -> None:
    broken = device(state="error", digest=None, failed_digest="d1")
    assert next_step([broken], situation(CURRENT)) == Bind([broken], CURRENT)


def retry(seconds: float, failures: int = 1) -> Retry:
    """Planned so many seconds from now."""
    return Retry(failures=failures, at=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 3600.0])
def test_a_device_in_error_is_tried_again_when_it_is_time(seconds: float) -> None:
    broken = device(state="error", digest=None, failed_digest="d2", retry=retry(seconds))
    assert next_step([broken], situation(CURRENT, at=NOW)) == Bind([broken], CURRENT)


@pytest.mark.parametrize("changes", [{"failed_digest": "d2"}, {"failed_digest": None}])
def test_a_device_in_error_is_left_alone_until_then(changes: dict[str, Any]) -> None:
    broken = device(state="error", digest=None, retry=retry(5.0), **changes)
    assert next_step([broken], situation(CURRENT, at=NOW)) is None


def test_another_driver_is_tried_at_once() -> None:
    broken = device(state="error", digest=None, failed_digest="d1", retry=retry(5.0))
    assert next_step([broken], situation(CURRENT, at=NOW)) == Bind([broken], CURRENT)


def test_a_paused_device_in_error_is_not_tried_again() -> None:
    broken = device(state="error", digest=None, retry=retry(-1.0), paused=True)
    assert next_step([broken], situation(CURRENT, at=NOW)) is None


def test_devices_that_are_there_already_are_not_moved_with_one_that_is_tried_again() -> None:
    there = {"snapshot": "s2", "digest": "d2", "process": process_name("door", "s2")}
    well = device("a", group="door", binding=there)
    broken = device("b", "error", digest=None, group="door", retry=retry(-1.0))
    assert next_step([well, broken], situation(DOOR, at=NOW)) == Bind([broken], DOOR)


def test_a_device_that_is_not_well_is_given_up() -> None:
    ailing = device(ailing="OSError: cut")
    assert next_step([ailing], situation(definitions("s2", f="d1"))) == GiveUp(ailing)


@pytest.mark.parametrize("changes", [{"state": "granted"}, {"paused": True}])
def test_a_device_that_is_not_well_but_held_or_paused_is_left_alone(changes: dict[str, Any]) -> None:
    ailing = device(ailing="OSError: cut", **changes)
    assert next_step([ailing], situation(definitions("s2", f="d1"))) is None


def test_the_pauses_between_tries_grow_up_to_five_minutes() -> None:
    assert [delay_after(failures) for failures in (1, 2, 3, 9, 10, 1000)] == [1.0, 2.0, 4.0, 256.0, 300.0, 300.0]
    assert next_retry(device())["failures"] == 1
    again = next_retry(device(retry=retry(0, failures=3)))
    assert again["failures"] == 4
    assert 7.0 < (again["at"] - now()).total_seconds() <= 8.0


def test_devices_that_share_a_handle_are_bound_together() -> None:
    pair = [device("a", group="door"), device("b", group="door")]
    target = definitions("s2", "door", a="d1", b="d2")
    step = next_step(pair, situation(target))
    assert isinstance(step, Bind)
    assert [each["_id"] for each in step.devices] == ["b", "a"]


def test_a_shared_handle_waits_for_all_its_devices() -> None:
    pair = [device("a", "granted", group="door"), device("b", group="door")]
    assert next_step(pair, situation(definitions("s2", "door", a="d1", b="d2"))) is None


def test_devices_that_will_share_a_handle_are_one_group() -> None:
    pair = [device("a"), device("b")]
    assert share_groups([*pair, device("c")], situation(DOOR)) == [pair, [device("c")]]


def test_a_device_waits_for_one_it_will_share_a_handle_with() -> None:
    assert next_step([device("a"), device("b", "granted")], situation(DOOR)) is None


def test_a_device_waits_for_one_it_shares_its_old_handle_with() -> None:
    pair = [device("a", group="door"), device("b", "granted", group="door")]
    assert next_step(pair, situation(definitions("s2", a="d2", b="d2"))) is None


def test_devices_that_no_longer_share_a_handle_leave_it_together() -> None:
    pair, target = [device("a", group="door"), device("b", group="door")], definitions("s2", a="d2", b="d2")
    assert next_step(pair, situation(target)) == Bind(pair, target)


def test_of_devices_that_move_together_the_next_request_decides() -> None:
    wanted = definitions("s1", "door", a="d1", b="d1")
    pair = [device("a", group="door"), device("b", group="door")]
    assert next_step(pair, situation(DOOR, wanted={"a": wanted})) is None


def test_of_requests_for_devices_that_move_together_the_most_urgent_decides() -> None:
    first, second = definitions("s1", "door", a="d1", b="d1"), definitions("s3", "door", a="d3", b="d3")
    pair = [device("a", group="door"), device("b", group="door")]
    step = next_step(pair, situation(DOOR, wanted={"b": second, "a": first}))
    assert isinstance(step, Bind)
    assert step.target == second


def test_a_device_stopped_between_two_drivers_is_left_alone_with_those_that_move_with_it() -> None:
    moving = {"step": "connecting", "state": None, "together": ["a", "b"]}
    pair = [
        device("a", "rebinding", group="door", hand_over=moving),
        device("b", "rebinding", group="door", hand_over=moving, stopped=True, paused=True),
    ]
    assert next_step(pair, situation(DOOR)) is None


@pytest.mark.parametrize("state", ["free", "granted"])
def test_a_device_whose_process_is_not_known_to_live_is_restored_first(state: str) -> None:
    doubtful = device(state=state)
    assert next_step([doubtful], situation(CURRENT, verified=lambda *_: False)) == Restore(doubtful)


@pytest.mark.parametrize("digest", ["d1", None])
def test_an_interrupted_rebinding_is_resolved_first(digest: str | None) -> None:
    interrupted = device(state="rebinding", digest=digest)
    assert next_step([interrupted], situation(CURRENT)) == Restore(interrupted)


def test_a_removed_device_retires() -> None:
    assert next_step([device()], situation(definitions("s2"))) == Retire(device())


def test_a_removed_device_stays_while_an_unfinished_task_knows_it() -> None:
    pinned = (definitions("s1", f="d1"),)
    assert next_step([device()], situation(definitions("s2"), pinned=pinned)) is None


def test_a_device_that_only_an_unfinished_task_knows_is_bound_for_it() -> None:
    unbound, pinned = device(state="unbound", digest=None), definitions("s1", f="d1")
    assert next_step([unbound], situation(definitions("s2"), pinned=(pinned,))) == Bind([unbound], pinned)


def test_process_names_can_name_files() -> None:
    assert process_name("furnace_1", "a" * 64) == "driver-furnace_1-aaaaaaaaaaaa"
    odd = process_name("rack/left door", "a" * 64)
    assert "/" not in odd and odd != process_name("rack/right door", "a" * 64)
