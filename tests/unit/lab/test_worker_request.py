from __future__ import annotations

from typing import Any

import pytest

from lab.definitions import BaseDevice
from lab.records import Grant, GrantedDevice
from lab.worker._request import ResourceRequest


class Furnace(BaseDevice):
    pass


KEY = f"{__name__}:Furnace"


class Scope:
    caller = None


def request(resources: Any) -> ResourceRequest:
    return ResourceRequest(Scope(), "t1", resources, 20)  # type: ignore[arg-type]


def grant(**devices: str) -> Grant:
    """``devices``: name -> the key of the want it is granted for."""
    granted = [
        GrantedDevice(key=key, device=name, fence=1, address=("127.0.0.1", 1), snapshot="s", digest="d")
        for name, key in devices.items()
    ]
    places = {key: {"slot": [f"{name}/slot/1"]} for name, key in devices.items() if name != "arm"}
    return Grant(devices=granted, positions=places)


@pytest.mark.parametrize("places", [3, None, ["slot"]])
def test_a_key_without_its_places_is_one_sentence_that_names_it(places: Any) -> None:
    with pytest.raises(TypeError, match=rf"given .* for {KEY}; use"):
        request({Furnace: places})


def test_several_of_a_class_are_a_want_each() -> None:
    wants = [want for wants in request({(Furnace, 2): {"slot": 1}})._wants.values() for want in wants]
    assert [(want["key"], want["kind"], want["name"], want["positions"]) for want in wants] == [
        (f"{KEY} (1 of 2)", "class", KEY, {"slot": 1}),
        (f"{KEY} (2 of 2)", "class", KEY, {"slot": 1}),
    ]


def test_several_of_a_class_are_given_as_a_list_with_the_places_of_all() -> None:
    asked = request({(Furnace, 2): {"slot": 1}, "arm": {}})
    made = grant(furnace_2=f"{KEY} (1 of 2)", furnace_7=f"{KEY} (2 of 2)", arm="arm")
    devices = asked.devices(made)
    assert [proxy.name for proxy in devices[Furnace, 2]] == ["furnace_2", "furnace_7"]
    assert devices["arm"].name == "arm"
    assert asked.places(made)[Furnace, 2] == {"slot": ["furnace_2/slot/1", "furnace_7/slot/1"]}


def test_one_of_several_is_a_list_too() -> None:
    assert [each.name for each in request({(Furnace, 1): {}}).devices(grant(a=f"{KEY} (1 of 1)"))[Furnace, 1]] == ["a"]


@pytest.mark.parametrize("key", [(Furnace, 0), (Furnace, True), (Furnace, "2"), ("furnace_1", 2), (Furnace,), (int, 2)])
def test_what_is_not_a_class_and_a_count_is_refused_in_a_sentence(key: Any) -> None:
    with pytest.raises(TypeError, match=r"several devices are \(class, count\), count 1 or more\.$"):
        request({key: {}})


def test_any_other_key_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        TypeError, match=r"given the key 7; use a device class, \(class, count\), a device name, or None\.$"
    ):
        request({7: {}})
