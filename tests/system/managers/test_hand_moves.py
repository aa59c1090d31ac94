"""People record that they moved a sample, unless a task has the place in its hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.managers import hand_moves
from lab.managers._inventory import Inventory
from lab.managers.choice import Choice
from lab.managers.grants import Granter
from lab.records import Position, RequestStatus, Sample, TaskStatus, Want, new_id
from lab.refusals import ConflictError, NotFoundError

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD = "0" * 64
SLOTS = ["furnace_1/slot/1", "furnace_1/slot/2"]


@pytest.fixture
def furnished(lab: Lab) -> Lab:
    lab.furnish()
    lab.records.create_indexes()
    return lab


def add(lab: Lab, name: str, position: str | None = None) -> str:
    sample = Sample(_id=new_id(), name=name, experiment="e", position=position, tags=[], metadata={}, history=[])
    lab.records.samples.insert_one(sample)
    return sample["_id"]


def hold(lab: Lab, place: str, *samples: str, status: TaskStatus = TaskStatus.RUNNING) -> str:
    task = lab.running_task()
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": status, "samples": list(samples)}})
    lab.records.positions.update_one({"_id": place}, {"$set": {"holder": task}})
    return task


def want(device: str, **positions: int) -> Want:
    return Want(key=device, kind="device", name=device, positions=positions)


def move(lab: Lab, sample: str, position: str | None) -> Any:
    return lab.new_backend.hand_moves.move(sample, position, "ann")


def where(lab: Lab, sample: str) -> str | None:
    found = lab.records.samples.find_one({"_id": sample})
    assert found is not None
    return found["position"]


def test_a_move_is_recorded_with_who_made_it(furnished: Lab) -> None:
    sample = add(furnished, "quartz")
    assert move(furnished, "quartz", SLOTS[0])["position"] == SLOTS[0]
    told = move(furnished, sample, None)
    assert [(step["position"], step["actor"], step["task"]) for step in told["history"]] == [
        (SLOTS[0], "ann", None),
        (None, "ann", None),
    ]


def test_an_unknown_sample_or_place_is_refused(furnished: Lab) -> None:
    sample = add(furnished, "quartz")
    with pytest.raises(NotFoundError, match="no sample 'quarz'"):
        move(furnished, "quarz", None)
    with pytest.raises(NotFoundError, match="no place 'furnace_1/slot/9'"):
        move(furnished, sample, "furnace_1/slot/9")
    assert where(furnished, sample) is None


def test_an_occupied_place_is_refused_and_the_sample_stays_where_it_was(furnished: Lab) -> None:
    sample = add(furnished, "quartz", SLOTS[1])
    add(furnished, "opal", SLOTS[0])
    with pytest.raises(ConflictError, match=f"{SLOTS[0]} holds another sample already"):
        move(furnished, sample, SLOTS[0])
    assert where(furnished, sample) == SLOTS[1]


def test_a_sample_that_is_there_already_is_refused(furnished: Lab) -> None:
    add(furnished, "quartz", SLOTS[0])
    with pytest.raises(ConflictError, match=f"in {SLOTS[0]} already"):
        move(furnished, "quartz", SLOTS[0])


@pytest.mark.parametrize("status", [TaskStatus.RUNNING, TaskStatus.INITIATED, TaskStatus.READY])
def test_places_of_a_task_at_work_are_refused_both_ways(furnished: Lab, status: TaskStatus) -> None:
    sample = add(furnished, "quartz", SLOTS[0])
    task = hold(furnished, SLOTS[0], sample, status=status)
    with pytest.raises(ConflictError, match=f"{SLOTS[0]} is held by Heating {task}, which is {status}"):
        move(furnished, sample, None)
    other = add(furnished, "opal")
    hold(furnished, SLOTS[1], sample, status=status)
    with pytest.raises(ConflictError, match=f"{SLOTS[1]} is held"):
        move(furnished, other, SLOTS[1])


def test_what_a_lost_task_left_may_be_put_right_but_nothing_be_put_into_its_places(furnished: Lab) -> None:
    sample = add(furnished, "quartz")
    hold(furnished, SLOTS[0], sample, status=TaskStatus.LOST)
    assert move(furnished, sample, SLOTS[0])["position"] == SLOTS[0]
    assert move(furnished, sample, None)["position"] is None
    with pytest.raises(ConflictError, match="is held by"):
        move(furnished, add(furnished, "opal"), SLOTS[0])


def test_a_move_into_a_place_that_is_just_granted_is_undone(furnished: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = add(furnished, "quartz")
    moved = hand_moves.move_by_hand

    def grant_meanwhile(*args: Any) -> bool:
        hold(furnished, SLOTS[0])
        return moved(*args)

    monkeypatch.setattr(hand_moves, "move_by_hand", grant_meanwhile)
    with pytest.raises(ConflictError, match=f"{SLOTS[0]} is held by"):
        move(furnished, sample, SLOTS[0])
    found = furnished.records.samples.find_one({"_id": sample})
    assert found is not None
    assert (found["position"], found["history"]) == (None, [])


def removed(lab: Lab) -> Inventory:
    """What dismisses the place ``gone``, which no code has any more."""
    lab.promote(OLD)
    lab.records.positions.insert_one(Position(_id="gone", device=None, prefix="gone", holder=None, request=None))
    return Inventory(lab.records, lab.ground.catalog)


def test_a_place_that_a_sample_was_just_put_into_is_not_removed(
    furnished: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = removed(furnished)
    sample = add(furnished, "quartz")
    looks = iter([lambda: move(furnished, sample, "gone")])
    is_occupied = inventory._is_occupied

    def put_there_after_the_first_look(position: str) -> bool:
        found = is_occupied(position)
        if position == "gone":
            next(looks, lambda: None)()
        return found

    monkeypatch.setattr(inventory, "_is_occupied", put_there_after_the_first_look)
    assert inventory.dismiss(furnished.ground.catalog.get(OLD))
    assert furnished.records.positions.find_one({"_id": "gone"}) is not None
    assert where(furnished, sample) == "gone"


def test_a_move_into_a_place_that_is_just_removed_is_undone(furnished: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = removed(furnished)
    sample = add(furnished, "quartz")
    moved = hand_moves.move_by_hand

    def remove_meanwhile(*args: Any) -> bool:
        inventory.dismiss(furnished.ground.catalog.get(OLD))
        return moved(*args)

    monkeypatch.setattr(hand_moves, "move_by_hand", remove_meanwhile)
    with pytest.raises(NotFoundError, match="There is no place 'gone'"):
        move(furnished, sample, "gone")
    assert where(furnished, sample) is None


def test_a_place_that_a_sample_was_just_put_into_is_not_granted(
    furnished: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice was made before, so that the sample is seen only once the place is held."""
    furnished.promote("1" * 64)
    furnished.add_worker()
    sample = add(furnished, "quartz")
    choices: list[list[str]] = []
    grant = Granter.grant

    def move_meanwhile(self: Granter, request: Any, choice: Choice, definitions: Any) -> bool:
        if not choices:
            move(furnished, sample, choice.places()[0])
        choices.append(choice.places())
        return grant(self, request, choice, definitions)

    monkeypatch.setattr(Granter, "grant", move_meanwhile)
    furnished.start()
    request = furnished.request(furnished.running_task(), want("furnace_1", slot=1))
    given = furnished.reaches(request, RequestStatus.FULFILLED)["grant"]
    assert given is not None
    assert given["positions"]["furnace_1"]["slot"] == choices[-1]
    assert choices[-1] != choices[0]
    assert where(furnished, sample) == choices[0][0]
