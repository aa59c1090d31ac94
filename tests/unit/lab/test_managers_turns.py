"""Deciding only what something changed for comes to the same as deciding everything."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from resource_events import EVENTS, Event, happen
from resource_world import BEGIN, DEFINITIONS, FURNACE, NEW, OLD, Mirror, World, want

from lab.managers.choice import Choice, Lack, choose
from lab.records import Request


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def mirror(world: World) -> Mirror:
    return Mirror(world)


def served(mirror: Mirror) -> list[str]:
    mirror.follow()
    return mirror.serve()


def test_the_urgent_come_first_then_the_old(world: World, mirror: Mirror) -> None:
    first, second = world.ask(world.task(), want("arm")), world.ask(world.task(), want("arm"))
    urgent = world.ask(world.task(), want("arm"), priority=30)
    for expected in (urgent, first, second):
        assert served(mirror) == [expected]
        world.release(expected)


def test_who_asked_before_the_clock_was_set_back_is_not_passed_over(world: World, mirror: Mirror) -> None:
    holder, early = (world.ask(world.task(), want("arm")) for _ in range(2))
    served(mirror)
    late = world.ask(world.task(), want("arm"))
    world.touch("requests", late, created_at=BEGIN - timedelta(hours=1))
    served(mirror)
    world.release(holder)
    assert served(mirror) == [early]


def test_of_those_that_are_found_at_the_start_the_times_tell_the_order(world: World) -> None:
    late, early = (world.ask(world.task(), want("arm")) for _ in range(2))
    world.touch("requests", early, created_at=BEGIN - timedelta(hours=1))
    mirror = Mirror(world)
    assert mirror.serve() == [early]
    world.release(early)
    assert served(mirror) == [late]


def test_nothing_is_decided_when_nothing_changed(world: World, mirror: Mirror) -> None:
    for name in ("arm", "arm", "balance"):
        world.ask(world.task(), want(name))
    served(mirror)
    mirror.follow()
    assert mirror.decided() == 0


def test_a_change_concerns_only_those_who_want_the_thing(world: World, mirror: Mirror) -> None:
    holder = world.ask(world.task(), want("arm"))
    world.ask(world.task(), want("balance"))
    served(mirror)
    for _ in range(5):
        world.ask(world.task(), want("balance"))
    waiting = world.ask(world.task(), want("arm"))
    served(mirror)
    world.release(holder)
    assert served(mirror) == [waiting]
    world.release(waiting)
    mirror.follow()
    assert mirror.decided() == 0


def test_of_those_who_ask_for_the_same_only_the_first_to_wait_is_decided(world: World, mirror: Mirror) -> None:
    requests = [world.ask(world.task(), want(FURNACE)) for _ in range(50)]
    assert served(mirror) == requests[:3]
    world.release(requests[0])
    mirror.follow()
    turn = mirror.turns.next()
    assert turn is not None
    assert turn[0]["_id"] == requests[3]
    mirror.world.grant(requests[3], turn[1])  # type: ignore[arg-type]
    mirror.follow()
    assert mirror.decided() == 1


def test_a_request_for_two_devices_is_not_passed_over_for_ever(world: World, mirror: Mirror) -> None:
    """There is always somebody who has one of them, and somebody who would take the other."""
    holders = [world.ask(world.task(), want(name)) for name in ("arm", "balance")]
    served(mirror)
    both = world.ask(world.task(), want("arm"), want("balance"))
    for _ in range(4):
        small = [world.ask(world.task(), want(name)) for name in ("arm", "balance")]
        granted = served(mirror)
        for before, after in zip(holders, small, strict=True):
            world.release(before, hold=10.0)
            granted += served(mirror)
            if both in granted:
                return
            if after in granted:
                holders[holders.index(before)] = after
    pytest.fail("it was passed over again and again")


def test_nor_by_tasks_that_hold_something_else(world: World, mirror: Mirror) -> None:
    """Tasks that hold a furnace ask for the arm, one after the other; the balance is free for a while."""
    holder = world.ask(world.task(), want("balance"))
    nested = world.task()
    world.ask(nested, want("furnace_1"))
    arm = world.ask(nested, want("arm"))
    served(mirror)
    both = world.ask(world.task(), want("arm"), want("balance"))
    other = world.task()
    world.ask(other, want("furnace_2"))
    late = world.ask(other, want("arm"))
    served(mirror)
    world.release(holder, hold=100.0)
    served(mirror)
    world.release(arm, hold=1.0)
    assert served(mirror) == [both]
    world.release(both)
    assert served(mirror) == [late]


def test_nothing_is_kept_from_a_task_that_the_keeper_waits_for(world: World, mirror: Mirror) -> None:
    holder = world.task()
    world.ask(holder, want("arm"))
    served(mirror)
    world.ask(world.task(), want("arm"), want("balance"))
    served(mirror)
    assert mirror.turns.kept()
    needed = world.ask(holder, want("balance"))
    assert served(mirror) == [needed]


def test_nor_from_one_that_it_comes_to_wait_for_by_way_of_another(world: World, mirror: Mirror) -> None:
    """Else the keeper waits for the arm, whose holder waits for the balance, whose holder waits for the keeper."""
    balance, arm = world.task(), world.task()
    world.ask(balance, want("balance"))
    world.ask(arm, want("arm"))
    served(mirror)
    world.ask(world.task(), want("furnace_1"), want("arm"))
    barred = world.ask(balance, want("furnace_1"))
    assert served(mirror) == []
    world.ask(arm, want("balance"))
    assert served(mirror) == [barred]


def test_a_new_driver_is_wanted_for_those_that_come_first(world: World, mirror: Mirror) -> None:
    first = world.ask(world.task(), want("arm"), snapshot=OLD)
    world.ask(world.task(), want("arm"), snapshot=NEW)
    served(mirror)
    assert mirror.turns.wanted() == {"arm": OLD}
    world.touch("requests", first, status="CANCELLED")
    served(mirror)
    assert mirror.turns.wanted() == {}


# -- the property -----------------------------------------------------------------------------------------------------

# A keeper waits for a task no more, from which something has to be kept then.
_NEEDED_NO_MORE: list[Event] = [
    ("ask", 276, 0),
    ("ask", 106, 146),
    ("ask", 571, 0),
    ("release", 0, 0),
    ("nest", 0, 0),
    ("nest", 0, 0),
    ("nest", 0, 0),
    ("nest", 0, 0),
    ("nest", 0, 0),
    ("release", 39, 0),
    ("release", 42, 0),
    ("ask", 116, 128),
    ("release", 1, 0),
    ("nest", 977, 3),
    ("nest", 237, 1),
]


def order(request: Request) -> tuple[int, str]:
    """The ids of the world's requests tell which was asked first."""
    return -request["priority"], request["_id"]


def everything(world: World) -> tuple[list[str], dict[str, Lack]]:
    """Decide all pending requests, from the first, after each grant; what was granted, and what is kept in the end."""
    granted: list[str] = []
    while True:
        mirror = Mirror(world)
        kept: dict[str, Lack] = {}
        choice = _first_choice(mirror, kept)
        if choice is None:
            return granted, kept
        world.grant(*choice)
        granted.append(choice[0])


def _first_choice(mirror: Mirror, kept: dict[str, Lack]) -> tuple[str, Choice] | None:
    pending = [each for each in mirror.ledger.requests.values() if each["status"] == "PENDING"]
    keepers: list[Request] = []
    for request in sorted(pending, key=order):
        decision = _decide(mirror, request, keepers, kept)
        if isinstance(decision, Choice):
            return request["_id"], decision
        if decision.keep:
            kept[request["_id"]] = decision
            keepers.append(request)
    return None


def _involved(lack: Lack) -> frozenset[str]:
    return lack.keep | lack.awaits


def _decide(mirror: Mirror, request: Request, keepers: list[Request], kept: dict[str, Lack]) -> Choice | Lack:
    def kept_from(other: Request) -> Iterator[frozenset[str]]:
        return (_involved(kept[each["_id"]]) for each in keepers if order(each) < order(other))

    reserved = {
        name: keeper["task"]
        for keeper in keepers
        if request["task"] not in mirror.turns.waits.needed_by(_involved(kept[keeper["_id"]]), kept_from)
        for name in kept[keeper["_id"]].keep
    }
    samples = mirror.ledger.samples_of(request["task"])
    return choose(request, samples, mirror.ledger.situation(reserved), DEFINITIONS[request["snapshot"]])


@settings(max_examples=50)
@example([("ask", 0, 0), ("ask", 0, 0), ("cancel", 0, 0)])
@example([("ask", 2, 0), ("release", 0, 0), ("ask", 0, 1), ("ask", 176, 0), ("ask", 240, 0)])
@example([("ask", 0, 1), ("ask", 235, 1), ("pause", 487, 0), ("ask", 237, 0)])
@example([("ask", 1, 0), ("ask", 0, 1), ("ask", 11, 0), ("nest", 962, 0), ("nest", 1, 1)])
@example(_NEEDED_NO_MORE)
@given(EVENTS)
def test_it_comes_to_the_same_as_deciding_everything(events: list[Event]) -> None:
    check_history(events)


@pytest.mark.long
@given(EVENTS)
def test_it_comes_to_the_same_in_long_histories(events: list[Event]) -> None:
    check_history(events)


def check_history(events: list[Event]) -> None:
    world = World()
    mirror = Mirror(world)
    for number, event in enumerate(events, start=1):
        happen(world, *event)
        mirror.follow()
        if event[2] % 4 == 3 and number < len(events):
            continue  # several events may be read before anything is decided
        expected, kept = everything(deepcopy(world))
        assert served(mirror) == expected
        assert mirror.turns.kept() == {name: lack.keep for name, lack in kept.items()}
        assert mirror.turns.wanted() == wanted_of(world)


def wanted_of(world: World) -> dict[str, str]:
    fresh = Mirror(deepcopy(world))
    fresh.decided()
    return fresh.turns.wanted()


def test_a_request_that_something_is_kept_from_can_be_withdrawn_while_it_keeps_something(
    world: World, mirror: Mirror
) -> None:
    """It holds something, so that it is looked at again whenever anything is given up, by itself for instance."""
    for name in ("arm", "balance"):
        world.ask(world.task(), want(name))
    holder = world.task()
    world.ask(holder, want("furnace_1"))
    served(mirror)
    world.ask(world.task(), want("furnace_2"), want("balance"))
    asked = world.ask(holder, want("furnace_3"), want("arm"))
    served(mirror)
    assert asked in mirror.turns.kept()
    world.touch("requests", asked, status="CANCELLED")
    served(mirror)
    assert asked not in mirror.turns.kept()


def test_who_is_next_is_looked_at_when_the_first_leaves_after_something_was_given_back(
    world: World, mirror: Mirror
) -> None:
    holder = world.ask(world.task(), want("arm"))
    served(mirror)
    first, second = (world.ask(world.task(), want("arm")) for _ in range(2))
    served(mirror)
    world.release(holder)
    mirror.follow()
    world.touch("requests", first, status="CANCELLED")
    assert served(mirror) == [second]
