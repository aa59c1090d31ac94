"""What is read after a change, and which requests it concerns."""

from __future__ import annotations

from resource_world import Mirror, World, want


def test_a_task_that_ends_just_after_it_asked_again_is_to_give_back_what_it_has() -> None:
    world = World()
    mirror = Mirror(world)
    task = world.task()
    held = world.ask(task, want("arm"))
    mirror.follow()
    assert mirror.serve() == [held]
    mirror.follow()
    asked = world.ask(task, want("balance"))
    world.touch("tasks", task, status="CANCELLED")
    assert mirror.follow() == {held, asked}
