"""What follows when a device does not connect with the driver of the code that went live."""

from __future__ import annotations

from typing import Any

import pytest

from hotswap.cutover import NotCutOverError, Outcome
from hotswap.errors import HotswapError, UnreachableError
from lab.alarms.causes import alarm_of
from lab.managers.failures import FailureManager
from lab.records import DeviceState

pytestmark = pytest.mark.system
OLD, NEW = "0" * 64, "1" * 64


class Failing:
    """A laboratory whose second generation brought an arm driver that did not connect."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        lab.promote(OLD, digest="old")
        lab.promote(NEW)
        lab.furnish("old")
        lab.records.refreshes.insert_one({"_id": "r2", "generation": 2, "outcome": "live"})
        self.asked: list[tuple[int, int]] = []
        self.refusal: HotswapError | None = None

    def manager(self, *, rolls_back: bool = False) -> FailureManager:
        lab = self.lab
        roll_back = self._roll_back if rolls_back else None
        return FailureManager(lab.records, lab.ground.catalog, lab.ground.bus, roll_back)

    def fail(self, digest: str = "new", **fields: Any) -> None:
        failed = {"failed_digest": digest, "failed_generation": 2, "error": "no such port", **fields}
        self.lab.records.devices.update_one({"_id": "arm"}, {"$set": failed})

    def refresh(self, name: str = "r2") -> Any:
        return self.lab.records.refreshes.find_one({"_id": name})

    def _roll_back(self, to: int, current: int) -> dict[str, Any]:
        self.asked.append((to, current))
        if self.refusal is not None:
            raise self.refusal
        generations = self.lab.ground.generations
        made = generations.roll_back(to, expected=current, actor="lab", reason="rollback")
        self.lab.records.refreshes.insert_one({"_id": "r3", "generation": made.number, "outcome": "live"})
        return {"_id": "r3"}


@pytest.fixture
def failing(lab: Any) -> Failing:
    return Failing(lab)


def test_the_refresh_says_once_which_device_failed_and_why(failing: Failing) -> None:
    failing.fail()
    manager = failing.manager()
    assert (manager.reconcile(), manager.reconcile()) == (None, None)
    (entry,) = failing.refresh()["failures"]
    assert (entry["device"], entry["reason"], entry["in_error"]) == ("arm", "no such port", False)


def test_the_refresh_says_that_a_device_is_in_error(failing: Failing) -> None:
    failing.fail(state=DeviceState.ERROR)
    failing.manager().reconcile()
    assert failing.refresh()["failures"][0]["in_error"] is True


def test_a_refresh_that_is_just_ending_is_waited_for(failing: Failing) -> None:
    failing.lab.records.refreshes.update_one({"_id": "r2"}, {"$set": {"outcome": None}})
    failing.fail()
    assert failing.manager().reconcile() is not None
    assert "failures" not in failing.refresh()


def test_a_device_that_is_still_returning_is_waited_for(failing: Failing) -> None:
    failing.fail(state=DeviceState.REBINDING)
    failing.manager(rolls_back=True).reconcile()
    assert failing.asked == []


def test_nothing_is_rolled_back_unless_that_is_wanted(failing: Failing) -> None:
    failing.fail()
    failing.manager().reconcile()
    assert failing.lab.ground.generations.current().number == 2


def test_the_generation_is_rolled_back_once_with_the_reason(failing: Failing) -> None:
    failing.fail()
    manager = failing.manager(rolls_back=True)
    manager.reconcile()
    current = failing.lab.ground.generations.current()
    assert (current.number, current.rolled_back_to, current.snapshot) == (3, 1, OLD)
    assert "Generation 2 was rolled back" in failing.refresh("r3")["reason"]
    assert "arm: no such port" in failing.refresh("r3")["reason"]
    failing.fail("old", failed_generation=3)
    manager.reconcile()
    assert failing.asked == [(1, 2)]


def test_a_generation_that_cannot_be_rolled_back_stays_and_that_is_told_once(failing: Failing) -> None:
    failing.fail()
    failing.refusal = NotCutOverError("The barrier was undone, because ada cancelled it.")
    for _ in range(2):
        assert failing.manager(rolls_back=True).reconcile() is None
    assert (failing.asked, failing.refresh()["kept_because"]) == ([(1, 2)], str(failing.refusal))
    (event,) = failing.lab.records.events.find({"kind": "generation.kept"})
    assert str(failing.refusal) in alarm_of(event).text


@pytest.mark.parametrize(
    ("refusal", "again"),
    [
        (UnreachableError("The fleet does not answer."), 1.0),
        (NotCutOverError("The managers ended before this refresh did.", Outcome.INTERRUPTED), None),
    ],
)
def test_what_says_nothing_about_the_code_does_not_keep_it_from_being_rolled_back_later(
    failing: Failing, refusal: HotswapError, again: float | None
) -> None:
    failing.fail()
    failing.refusal = refusal
    assert failing.manager(rolls_back=True).reconcile() == again
    failing.refusal = None
    failing.manager(rolls_back=True).reconcile()
    assert failing.asked == [(1, 2), (1, 2)]
    assert failing.lab.ground.generations.current().rolled_back_to == 1


def test_a_driver_that_fails_an_old_task_rolls_nothing_back(failing: Failing) -> None:
    failing.fail("old")
    failing.manager(rolls_back=True).reconcile()
    assert (failing.asked, "failures" in failing.refresh()) == ([], False)


def test_a_generation_that_is_not_current_any_more_is_left_alone(failing: Failing) -> None:
    failing.fail()
    failing.refusal = HotswapError("Generation 2 is not current any more, so it is not rolled back.")
    assert failing.manager(rolls_back=True).reconcile() is None
    assert failing.lab.records.events.find_one({"kind": "generation.rolled_back"}) is None
