"""Which devices pretend."""

from __future__ import annotations

from lab.settings.simulation import Simulation


def test_all_devices_pretend_until_that_is_turned_off() -> None:
    assert Simulation().covers("oven_1")
    assert not Simulation(everything=False).covers("oven_1")


def test_patterns_name_the_devices_that_pretend_all_the_same() -> None:
    partly = Simulation(everything=False, patterns=("furnace_*", "arm"))
    assert [name for name in ("furnace_1", "arm", "arm_2", "Furnace_1") if partly.covers(name)] == ["furnace_1", "arm"]


def test_patterns_that_match_nothing_are_told() -> None:
    assert Simulation(patterns=("furnace_*", "fornace_*")).unmatched(["furnace_1"]) == ["fornace_*"]


def test_share_groups_that_pretend_in_part_are_told() -> None:
    partly = Simulation(everything=False, patterns=("door_1",))
    assert partly.divided({"doors": ["door_1", "door_2"], "arm": ["arm"]}) == ["doors"]
    assert Simulation(patterns=("door_1",)).divided({"doors": ["door_1", "door_2"]}) == []


def test_it_is_said_loudly_when_devices_are_real() -> None:
    assert Simulation().told("lab_sim") == (
        "Everything is simulated (simulation = true in lab.toml); database lab_sim."
    )
    partly = Simulation(everything=False, patterns=("furnace_*",))
    assert partly.told("lab").startswith("DEVICES ARE REAL, all but furnace_* ")
