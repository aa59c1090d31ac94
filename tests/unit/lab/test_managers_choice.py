"""The decision on a request, against a model that tries every assignment there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.catalog import Definitions
from lab.managers.choice import Choice, Lack, Situation, choose
from lab.records import Device, Position, Request, Want, now

FURNACE, ARM = "my_lab.devices:Furnace", "my_lab.devices:Arm"
CLASSES = {"furnace_1": FURNACE, "furnace_2": FURNACE, "furnace_10": FURNACE, "arm": ARM}
SLOTS = {"furnace_1": 2, "furnace_2": 2, "furnace_10": 1, "arm": 0}


def definitions() -> Definitions:
    devices = {
        name: {
            "bases": [kind],
            "group": name,
            "positions": [{"name": "slot", "number": SLOTS[name]}] if SLOTS[name] else [],
        }
        for name, kind in CLASSES.items()
    }
    return Definitions(
        snapshot="a" * 64,
        package="my_lab",
        devices=devices,
        tasks={},
        positions=[{"name": "table", "number": 2}],
        drivers=dict.fromkeys(CLASSES, "new"),
    )


def device(name: str, **changes: Any) -> Device:
    document: dict[str, Any] = {
        "_id": name,
        "state": "granted" if changes.get("holder") else "free",
        "binding": {"digest": "new"},
        "holder": None,
        "request": None,
        "paused": False,
        "group": name,
        "error": None,
        **changes,
    }
    return document  # type: ignore[return-value]


def all_positions(holders: dict[str, str] | None = None) -> list[Position]:
    defined = definitions()
    places = [(name, prefix, place) for name in CLASSES for prefix, place in defined.device_positions(name)]
    places += [(None, prefix, place) for prefix, place in defined.standalone_positions()]  # type: ignore[list-item]
    return [
        Position(_id=place, device=name, prefix=prefix, holder=(holders or {}).get(place), request=None)
        for name, prefix, place in places
    ]


def want(name: str | None, **positions: int) -> Want:
    kind = "none" if name is None else "class" if ":" in name else "device"
    return Want(key=str(name), kind=kind, name=name, positions=positions)


def request(*wants: Want, task: str = "me") -> Request:
    return Request(
        _id="r",
        task=task,
        attempt=1,
        snapshot="a" * 64,
        wants=list(wants),
        priority=20,
        status="PENDING",
        created_at=now(),
        grant=None,
        waits_for=None,
        error=None,
    )


def situation(
    *changed: Device,
    holders: dict[str, str] | None = None,
    occupants: dict[str, str] | None = None,
    reserved: frozenset[str] = frozenset(),
    working: frozenset[str] = frozenset(),
) -> Situation:
    devices = {name: device(name) for name in CLASSES} | {each["_id"]: each for each in changed}
    samples: list[Any] = [{"_id": sample, "position": place} for place, sample in (occupants or {}).items()]
    kept = dict.fromkeys(reserved, "keeper")
    return Situation.of(list(devices.values()), all_positions(holders), samples, kept, working)


def decide(asked: Request, world: Situation) -> Choice | Lack:
    return choose(asked, {"mine"}, world, definitions())


def chosen(asked: Request, world: Situation) -> Choice:
    decision = decide(asked, world)
    assert isinstance(decision, Choice), decision
    return decision


def lacking(asked: Request, world: Situation) -> Lack:
    decision = decide(asked, world)
    assert isinstance(decision, Lack), decision
    return decision


def test_a_class_gets_any_free_device_with_enough_places() -> None:
    choice = chosen(request(want(FURNACE, slot=2)), situation(device("furnace_1", holder="other")))
    assert choice.devices == {FURNACE: "furnace_2"}
    assert choice.positions == {FURNACE: {"slot": ["furnace_2/slot/1", "furnace_2/slot/2"]}}


def test_the_emptiest_device_is_preferred_and_names_count_naturally() -> None:
    world = situation(occupants={"furnace_1/slot/1": "s"})
    assert chosen(request(want(FURNACE, slot=1)), world).devices == {FURNACE: "furnace_2"}


def test_all_or_nothing() -> None:
    world = situation(device("arm", holder="other"))
    assert "arm is held by task other" in lacking(request(want(FURNACE, slot=1), want("arm")), world).reason


def test_a_named_device_is_kept_from_a_want_of_its_class() -> None:
    choice = chosen(request(want(FURNACE), want("furnace_1")), situation())
    assert choice.devices == {FURNACE: "furnace_2", "furnace_1": "furnace_1"}


def test_what_the_task_holds_already_is_shared() -> None:
    world = situation(
        *(device(name, holder="me" if name == "furnace_10" else "other") for name in SLOTS if name != "arm"),
        holders={"furnace_10/slot/1": "me"},
    )
    assert chosen(request(want(FURNACE, slot=1)), world).devices == {FURNACE: "furnace_10"}


def test_a_paused_device_is_not_granted_but_goes_on_for_its_holder() -> None:
    assert "is paused" in lacking(request(want("arm")), situation(device("arm", paused=True))).reason
    assert chosen(request(want("arm")), situation(device("arm", paused=True, holder="me"))).devices


def test_a_free_device_with_another_driver_is_to_be_rebound() -> None:
    old = device("arm", binding={"digest": "old"})
    lack = lacking(request(want("arm")), situation(old))
    assert lack.rebind == ("arm",)
    assert not lack.hopeless


def test_a_request_keeps_what_is_ready_for_it_while_the_rest_gets_its_driver() -> None:
    lack = lacking(request(want("arm"), want("furnace_1")), situation(device("arm", binding={"digest": "old"})))
    assert lack.keep == {"arm", "furnace_1"}


def test_a_request_keeps_a_device_that_is_just_getting_its_driver() -> None:
    moving = device("arm", binding={"digest": "old"}, state="rebinding")
    assert lacking(request(want("arm")), situation(moving)).keep == {"arm"}


def test_a_request_keeps_what_shares_a_handle_with_the_device_that_it_waits_for() -> None:
    world = situation(device("arm", binding={"digest": "old"}, group="door"), device("furnace_1", group="door"))
    assert lacking(request(want("arm")), world).keep == {"arm", "furnace_1"}


def test_a_driver_that_did_not_connect_is_not_waited_for() -> None:
    failed = device("arm", binding={"digest": "old"}, failed_digest="new", error="no such port")
    lack = lacking(request(want("arm")), situation(failed))
    assert "arm does not connect with the driver of this code version (no such port)" in lack.reason
    assert lack.keep == frozenset()


def test_no_rebind_is_asked_for_while_something_else_is_missing() -> None:
    world = situation(device("arm", binding={"digest": "old"}), device("furnace_1", holder="other"))
    assert lacking(request(want("arm"), want("furnace_1")), world).rebind == ()


def test_a_device_with_the_right_driver_is_preferred_to_a_rebind() -> None:
    world = situation(device("furnace_1", binding={"digest": "old"}))
    assert chosen(request(want(FURNACE)), world).devices == {FURNACE: "furnace_2"}


def test_a_device_kept_for_an_earlier_request_is_not_granted() -> None:
    lack = lacking(request(want("arm")), situation(reserved=frozenset({"arm"})))
    assert "arm is kept for task keeper, whose request comes first" in lack.reason


def waiting_for(*busy: Device, **times: float | None) -> Situation:
    """``busy`` are held by a task that is at work; ``times`` tells how long a device is held as a rule."""
    known = [device(name, typical_hold=seconds) for name, seconds in times.items()]
    held = [{**each, "typical_hold": times.get(each["_id"])} for each in busy]
    return situation(*known, *held, working=frozenset({"busy"}))  # type: ignore[arg-type]


def test_what_is_held_for_long_is_kept_while_something_quick_is_waited_for() -> None:
    world = waiting_for(device("arm", holder="busy"), arm=60.0, furnace_1=3600.0)
    assert lacking(request(want("arm"), want("furnace_1")), world).keep == {"furnace_1"}


def test_what_is_quick_is_not_kept_while_something_is_waited_for_that_takes_long() -> None:
    world = waiting_for(device("furnace_1", holder="busy"), arm=60.0, furnace_1=3600.0)
    assert lacking(request(want("arm"), want("furnace_1")), world).keep == frozenset()


def test_what_was_never_given_back_counts_as_held_for_long() -> None:
    world = waiting_for(device("furnace_1", holder="busy"), arm=60.0)
    assert lacking(request(want("arm"), want("furnace_1")), world).keep == frozenset()


def test_nothing_is_kept_while_a_part_does_not_come_by_itself() -> None:
    for lost in (device("arm", holder="lost"), device("arm", paused=True), device("arm", state="error")):
        assert lacking(request(want("arm"), want("furnace_1")), waiting_for(lost)).keep == frozenset()


def test_free_places_are_kept_while_others_of_them_are_given_back() -> None:
    world = situation(holders={"table/1": "busy"}, working=frozenset({"busy"}))
    assert lacking(request(want(None, table=2)), world).keep == {"table/2"}


def test_a_place_where_a_sample_stands_is_not_waited_for_with_others_kept() -> None:
    assert lacking(request(want(None, table=2)), situation(occupants={"table/1": "theirs"})).keep == frozenset()


def test_a_lack_of_places_names_who_has_them() -> None:
    world = situation(holders={"furnace_1/slot/1": "other"}, occupants={"furnace_1/slot/2": "theirs"})
    reason = lacking(request(want("furnace_1", slot=1)), world).reason
    assert "furnace_1/slot/1 is held by task other; furnace_1/slot/2 is taken by sample theirs" in reason


def test_of_very_many_devices_only_some_are_named() -> None:
    lack = lacking(request(want("arm")), situation(device("arm", holder="other")))
    assert "more" not in lack.reason
    many = definitions()
    many.devices.update({f"arm_{n}": {**many.devices["arm"]} for n in range(10)})
    decision = choose(request(want(ARM)), (), situation(device("arm", holder="other")), many)
    assert isinstance(decision, Lack)
    assert decision.reason.count("is not connected yet") == 5
    assert "and 5 more" in decision.reason


def test_more_devices_of_a_class_than_there_are_is_hopeless() -> None:
    asked = [{**want(ARM), "key": key} for key in ("1", "2")]
    lack = lacking(request(*asked), situation())  # type: ignore[arg-type]
    assert lack.hopeless
    assert "has not that many devices 'Arm'" in lack.reason


def test_places_with_samples_of_others_are_not_granted() -> None:
    world = situation(occupants={"furnace_1/slot/1": "theirs", "furnace_1/slot/2": "mine"})
    assert chosen(request(want("furnace_1", slot=1)), world).positions["furnace_1"] == {"slot": ["furnace_1/slot/2"]}
    assert "not enough free places" in lacking(request(want("furnace_1", slot=2)), world).reason


def test_standalone_places_may_be_named_in_full() -> None:
    asked = request(want(None, **{"table/2": 1, "table": 1}))
    assert chosen(asked, situation()).positions["None"] == {"table/2": ["table/2"], "table": ["table/1"]}


def test_a_place_on_a_device_can_be_held_without_the_device() -> None:
    asked = request(want(None, **{"furnace_1/slot/1": 1}), want("furnace_1", slot=1))
    assert chosen(asked, situation()).positions["furnace_1"] == {"slot": ["furnace_1/slot/2"]}


def test_what_the_code_does_not_define_is_hopeless() -> None:
    for asked in (
        want("my_lab.devices:Oven"),
        want("oven"),
        want(FURNACE, slot=3),
        want(FURNACE, shelf=1),
        want(None, table=3),
    ):
        lack = lacking(request(asked), situation())
        assert lack.hopeless
        assert lack.reason.endswith(".")


def test_a_device_that_is_defined_but_not_there_yet_is_waited_for() -> None:
    world = situation()
    without = replace(world, devices={name: each for name, each in world.devices.items() if name != "arm"})
    lack = lacking(request(want("arm")), without)
    assert not lack.hopeless
    assert "arm is not connected yet" in lack.reason


states = st.fixed_dictionaries(
    {
        "holder": st.sampled_from([None, None, "me", "other"]),
        "digest": st.sampled_from(["new", "new", "old"]),
        "paused": st.booleans(),
    }
)
worlds = st.builds(
    lambda facts, holders, occupants, reserved: situation(
        *(
            device(name, holder=each["holder"], binding={"digest": each["digest"]}, paused=each["paused"])
            for name, each in facts.items()
        ),
        holders=holders,
        occupants=occupants,
        reserved=frozenset(reserved),
    ),
    st.fixed_dictionaries(dict.fromkeys(CLASSES, states)),
    st.dictionaries(st.sampled_from([p["_id"] for p in all_positions()]), st.sampled_from(["me", "other"])),
    st.dictionaries(st.sampled_from([p["_id"] for p in all_positions()]), st.sampled_from(["mine", "theirs"])),
    st.sets(st.sampled_from(sorted(CLASSES)), max_size=1),
)
wants = st.lists(
    st.one_of(
        st.builds(lambda n: want(FURNACE, slot=n), st.integers(1, 2)),
        st.builds(lambda n: want("furnace_2", slot=n), st.integers(1, 2)),
        st.sampled_from([want(ARM), want("arm"), want("furnace_10"), want("furnace_1"), want(None, table=2)]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each["key"],
)


@settings(max_examples=300, deadline=None)
@given(wants, worlds)
def test_it_grants_exactly_what_can_be_granted(asked: list[Want], world: Situation) -> None:
    decision = decide(request(*asked), world)
    assert isinstance(decision, Choice) == (next(_assignments(asked, world, ready=_ready), None) is not None)
    if isinstance(decision, Choice):
        _check(decision, asked, world)
    else:
        possible = next(_assignments(asked, world, ready=_ready_or_rebindable), None) is not None
        assert bool(decision.rebind) == possible
        old = [name for name in decision.rebind if world.devices[name]["binding"] == {"digest": "old"}]
        assert bool(old) == possible
        assert set(decision.rebind) <= decision.keep


def _assignments(asked: list[Want], world: Situation, ready: Any) -> Iterator[tuple[str, ...]]:
    """Every way to give each want a device of its own, tried by brute force."""
    needing = [each for each in asked if each["kind"] != "none"]
    if any(len(_free(f"{p}/", world)) < n for each in asked if each["kind"] == "none" for p, n in _counts(each)):
        return
    for names in permutations(CLASSES, len(needing)):
        if all(_suits(each, name, world) and ready(name, world) for each, name in zip(needing, names, strict=True)):
            yield names


def _suits(each: Want, name: str, world: Situation) -> bool:
    named = each["name"] in (name, CLASSES[name])
    return named and all(len(_free(f"{name}/{prefix}/", world)) >= count for prefix, count in _counts(each))


def _counts(each: Want) -> list[tuple[str, int]]:
    return list(each["positions"].items())


def _free(start: str, world: Situation) -> list[str]:
    return [
        name
        for name, place in world.positions.items()
        if name.startswith(start) and place["holder"] != "other" and world.occupants.get(name, "mine") == "mine"
    ]


def _ready(name: str, world: Situation) -> bool:
    it = world.devices[name]
    if it["binding"] != {"digest": "new"}:
        return False
    return it["holder"] == "me" or (it["holder"] is None and not it["paused"] and name not in world.reserved)


def _ready_or_rebindable(name: str, world: Situation) -> bool:
    it = world.devices[name]
    free = it["holder"] is None and not it["paused"] and name not in world.reserved
    return _ready(name, world) or free


def _check(choice: Choice, asked: list[Want], world: Situation) -> None:
    assert set(choice.devices) == {each["key"] for each in asked if each["kind"] != "none"}
    assert len(set(choice.devices.values())) == len(choice.devices)
    places = choice.places()
    assert len(set(places)) == len(places)
    for each in asked:
        granted = choice.positions[each["key"]]
        assert {prefix: len(names) for prefix, names in granted.items()} == each["positions"]
        for prefix, names in granted.items():
            start = f"{prefix}/" if each["kind"] == "none" else f"{choice.devices[each['key']]}/{prefix}/"
            assert set(names) <= set(_free(start, world))
    assert all(_ready(name, world) for name in choice.devices.values())
