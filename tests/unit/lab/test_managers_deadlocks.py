from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from resource_events import EVENTS, Event, happen
from resource_world import DEFINITIONS, FURNACE, NEW, Mirror, World, want

from lab.managers import deadlocks as module
from lab.managers.deadlocks import Deadlock, DeadlockFinder


@pytest.fixture
def world() -> World:
    return World()


def deadlocks(world: World, movable: Collection[str] = ()) -> list[Deadlock]:
    """What is found when everything that can be granted is granted."""
    mirror = Mirror(world)
    mirror.serve()
    return DeadlockFinder(mirror.ledger, DEFINITIONS.get, lambda _: movable).find()


def holding(world: World, *names: str) -> str:
    task = world.task()
    world.ask(task, *(want(name) for name in names))
    deadlocks(world)
    return task


def test_tasks_that_wait_for_each_other_are_found_and_told(world: World) -> None:
    one, two = holding(world, "furnace_1"), holding(world, "arm")
    first, second = world.ask(one, want("arm")), world.ask(two, want("furnace_1"))
    (found,) = deadlocks(world)
    assert found.tasks == (one, two)
    assert found.youngest["_id"] == second
    assert found.words[first] == (
        f"This is a deadlock: it waits for arm, held by task {two}, which waits for furnace_1, held by this task."
    )


def test_a_longer_circle_is_told_in_full(world: World) -> None:
    tasks = [holding(world, name) for name in ("furnace_1", "arm", "balance")]
    asked = [world.ask(task, want(name)) for task, name in zip(tasks, ("arm", "balance", "furnace_1"), strict=True)]
    (found,) = deadlocks(world)
    assert found.tasks == tuple(tasks)
    assert found.words[asked[0]] == (
        f"This is a deadlock: it waits for arm, held by task {tasks[1]}, which waits for balance, held by task "
        f"{tasks[2]}, which waits for furnace_1, held by this task."
    )


def test_who_can_get_another_of_the_class_is_in_no_deadlock(world: World) -> None:
    one, two = holding(world, "furnace_1"), holding(world, "arm")
    holding(world, "furnace_2", "furnace_3")
    world.ask(one, want("arm"))
    world.ask(two, want(FURNACE))
    assert deadlocks(world) == []


def test_nor_is_one_that_waits_for_a_paused_device(world: World) -> None:
    one, two = holding(world, "furnace_1"), holding(world, "arm")
    world.touch("devices", "balance", paused=True)
    world.ask(one, want("arm"))
    world.ask(two, want("balance"))
    assert deadlocks(world) == []


def test_two_deadlocks_are_told_apart(world: World) -> None:
    pairs = [("furnace_1", "arm"), ("furnace_2", "balance")]
    for one, two in pairs:
        first, second = holding(world, one), holding(world, two)
        world.ask(first, want(two))
        world.ask(second, want(one))
    assert [each.tasks for each in deadlocks(world)] == [("t000", "t001"), ("t002", "t003")]


def test_who_waits_for_a_deadlock_is_not_part_of_it(world: World) -> None:
    one, two, third = holding(world, "furnace_1"), holding(world, "arm"), holding(world, "balance")
    world.ask(one, want("arm"))
    world.ask(two, want("furnace_1"))
    world.ask(third, want("arm"))
    (found,) = deadlocks(world)
    assert third not in found.tasks


def swapped(world: World) -> tuple[str, str]:
    """Two tasks, the sample of each where the other wants to put its own."""
    tasks = world.task("s0"), world.task("s1")
    world.move("s0", "furnace_1/slot/1")
    world.move("s1", "table/1")
    world.ask(tasks[0], want(None, **{"table/1": 1}))
    world.ask(tasks[1], want(None, **{"furnace_1/slot/1": 1}))
    return tasks


def test_samples_in_each_others_places_are_a_deadlock(world: World) -> None:
    tasks = swapped(world)
    (found,) = deadlocks(world)
    assert found.tasks == tasks
    assert "where sample s1 stands, which belongs to task t001" in "".join(found.words.values())


def test_unless_another_task_may_still_move_one_of_them(world: World) -> None:
    swapped(world)
    assert deadlocks(world, movable={"s1"}) == []


def test_several_devices_of_a_class_may_be_a_deadlock(world: World) -> None:
    one, two = holding(world, "furnace_1"), holding(world, "furnace_2")
    for task in (one, two):
        world.ask(task, want("furnace_3"), want("furnace_1" if task == two else "furnace_2"), snapshot=NEW)
    assert [each.tasks for each in deadlocks(world)] == [(one, two)]


def test_one_that_another_task_was_to_prevent_is_found_when_that_is_over(world: World) -> None:
    tasks = swapped(world)
    mirror, movable = Mirror(world), ["s1"]
    finder = DeadlockFinder(mirror.ledger, DEFINITIONS.get, lambda _: movable)
    assert finder.find() == []
    movable.clear()
    assert [each.tasks for each in finder.find()] == [tasks]


def test_those_that_wait_for_something_else_are_not_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = holding(world, "balance")
    for name in ("furnace_1", "furnace_2"):
        world.ask(holding(world, name), want("balance"))
    mirror = Mirror(world)
    mirror.follow()
    finder = DeadlockFinder(mirror.ledger, DEFINITIONS.get, lambda _: ())
    finder.find()
    looked: list[str] = []
    monkeypatch.setattr(module, "choose", lambda request, *_: looked.append(request["_id"]))
    for _ in range(3):
        request = world.ask(busy, want("arm"))
        mirror.follow()
        assert mirror.serve() == [request]
        world.release(request)
        mirror.follow()
        assert finder.find() == []
    assert looked == []


def test_a_deadlock_may_bring_about_another(world: World) -> None:
    """Who waits for any furnace waits in a circle as soon as those who have the others do."""
    tasks = [holding(world, name) for name in ("arm", "furnace_1", "furnace_2", "furnace_3")]
    mirror = Mirror(world)
    finder = DeadlockFinder(mirror.ledger, DEFINITIONS.get, lambda _: ())
    world.ask(tasks[0], want(FURNACE))
    world.ask(tasks[1], want("arm"))
    mirror.follow()
    assert finder.find() == []
    world.ask(tasks[2], want("furnace_3"))
    world.ask(tasks[3], want("furnace_2"))
    mirror.follow()
    assert [each.tasks for each in finder.find()] == [(tasks[0], tasks[1]), (tasks[2], tasks[3])]


@settings(max_examples=150, deadline=None)
@given(events=EVENTS)
def test_looking_where_something_is_new_finds_what_looking_at_everything_finds(events: list[Event]) -> None:
    world = World()
    mirror = Mirror(world)
    finder = DeadlockFinder(mirror.ledger, DEFINITIONS.get, lambda _: ())
    for kind, first, second in events:
        happen(world, kind, first, second)
        mirror.follow()
        mirror.serve()
        at_once = DeadlockFinder(Mirror(world).ledger, DEFINITIONS.get, lambda _: ())
        assert [each.key for each in finder.find()] == [each.key for each in at_once.find()]
