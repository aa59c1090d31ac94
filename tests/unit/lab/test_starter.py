"""The lab that users copy: it describes itself, and its physics is honest."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lab
from lab.definitions import build_device, describe, make_task, registry

STARTER = Path(lab.__file__).parent / "starter"
LEAVE_OUT = shutil.ignore_patterns("__pycache__", ".*_cache")
MODULES = ("ramps", "thermal", "patterns")


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The starter's package, imported from a copy under its plain name; gives its modules by name."""
    copy = tmp_path_factory.mktemp("starter") / "lab"
    shutil.copytree(STARTER, copy, ignore=LEAVE_OUT)
    sys.path.insert(0, str(copy))
    registry.clear()
    description = describe("my_lab")
    yield {"path": copy, "description": description} | {
        name: importlib.import_module(f"my_lab.{name}") for name in MODULES
    }
    sys.path.remove(str(copy))
    registry.clear()
    for name in [each for each in sys.modules if each.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


# What it defines


def test_the_starter_has_the_devices_of_a_small_ceramics_lab(starter: Any) -> None:
    places = {
        name: [(each["name"], each["number"]) for each in device["positions"]]
        for name, device in starter["description"]["devices"].items()
    }
    assert places == {
        **{f"furnace_{number}": [("slot", 4)] for number in (1, 2, 3, 4)},
        "robot_arm": [],
        "powder_doser": [("tray", 1)],
        "balance": [("pan", 1)],
        "xrd": [("stage", 1)],
    }


def test_the_starter_has_tasks_from_dosing_to_ending(starter: Any) -> None:
    tasks = starter["description"]["tasks"]
    assert list(tasks) == ["Dosing", "Moving", "Heating", "Characterising", "Ending"]
    assert tasks["Heating"]["schema"]["required"] == ["temperature_c"]


def test_the_starter_has_a_table_and_a_storage(starter: Any) -> None:
    positions = {each["name"]: each["number"] for each in starter["description"]["positions"]}
    assert positions == {"table": 16, "storage": 32}


def test_registrations_are_told_relative_to_the_lab(starter: Any) -> None:
    assert starter["description"]["devices"]["xrd"]["where"].startswith("my_lab/__init__.py:")


def test_the_example_experiment_fits_the_tasks(starter: Any) -> None:
    experiment = json.loads((starter["path"] / "experiment.json").read_text())
    schemas = {name: task["schema"] for name, task in starter["description"]["tasks"].items()}
    for task in experiment["tasks"]:
        schema = schemas[task["type"]]
        assert set(schema.get("required", [])) <= set(task["parameters"]) <= set(schema["properties"])


def test_importing_the_lab_needs_nothing_heavy(starter: Any) -> None:
    code = (
        "import sys, my_lab; print(sorted({'pymongo', 'dramatiq', 'starlette', 'git', 'uvicorn'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=starter["path"], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


# The chamber

TEMPERATURES = st.floats(min_value=40.0, max_value=1200.0)
RAMPS = st.floats(min_value=1.0, max_value=50.0)
# Long programs are thousands of ticks; how long they take says nothing about the physics.
unhurried = settings(deadline=None, max_examples=30)


@unhurried
@given(target=TEMPERATURES, ramp=RAMPS, hold=st.floats(min_value=0.0, max_value=30.0))
def test_a_program_never_overshoots_and_always_ends(starter: Any, target: float, ramp: float, hold: float) -> None:
    chamber = starter["thermal"].Chamber()
    follower = starter["ramps"].Ramp([starter["ramps"].Segment(target, ramp, hold)], chamber.temperature_c)
    before = chamber.temperature_c
    fastest_seconds = (target - before) / ramp * 60.0 + hold * 60.0
    seconds = 0
    while not follower.finished:
        chamber.tick(follower.advance(chamber.temperature_c, 1.0))
        assert before - 1e-9 <= chamber.temperature_c <= target + 1e-9
        before = chamber.temperature_c
        seconds += 1
        assert seconds < fastest_seconds + 3 * 3600
    assert seconds >= fastest_seconds - 120


@unhurried
@given(target=TEMPERATURES, ramp=RAMPS)
def test_the_energy_is_what_is_stored_plus_what_was_lost(starter: Any, target: float, ramp: float) -> None:
    chamber = starter["thermal"].Chamber()
    follower = starter["ramps"].Ramp([starter["ramps"].Segment(target, ramp)], chamber.temperature_c)
    lost_j = 0.0
    while not follower.finished:
        lost_j += chamber.loss_w
        chamber.tick(follower.advance(chamber.temperature_c, 1.0))
    stored_j = chamber.heat_capacity_j_per_k * (chamber.temperature_c - 25.0)
    assert chamber.energy_j == pytest.approx(stored_j + lost_j, rel=1e-9)


@unhurried
@given(start=TEMPERATURES, first=st.integers(0, 5000), second=st.integers(0, 5000))
def test_cooling_is_monotone_and_ends_at_ambient(starter: Any, start: float, first: int, second: int) -> None:
    chamber = starter["thermal"].Chamber(temperature_c=start)
    chamber.coast(first)
    between = chamber.temperature_c
    chamber.coast(second)
    assert 25.0 <= chamber.temperature_c <= between <= start


@unhurried
@given(start=TEMPERATURES, ticks=st.integers(0, 300))
def test_coasting_is_ticking_with_the_heater_off(starter: Any, start: float, ticks: int) -> None:
    coasting, ticking = (starter["thermal"].Chamber(temperature_c=start) for _ in range(2))
    coasting.coast(ticks)
    for _ in range(ticks):
        ticking.tick(0.0)
    assert coasting.temperature_c == pytest.approx(ticking.temperature_c, rel=1e-9)


def test_cooling_follows_one_time_constant(starter: Any) -> None:
    chamber = starter["thermal"].Chamber(temperature_c=1025.0)
    chamber.coast(round(chamber.heat_capacity_j_per_k / chamber.loss_w_per_k))
    assert chamber.temperature_c - 25.0 == pytest.approx(1000.0 / 2.71828, rel=0.01)


def test_a_weak_heater_is_waited_for(starter: Any) -> None:
    chamber = starter["thermal"].Chamber(heater_w=600.0)
    follower = starter["ramps"].Ramp([starter["ramps"].Segment(500.0, 50.0)], chamber.temperature_c)
    seconds = 0
    while not follower.finished:
        chamber.tick(follower.advance(chamber.temperature_c, 1.0))
        seconds += 1
    assert seconds > 2 * 475.0 / 50.0 * 60.0
    assert chamber.temperature_c == pytest.approx(500.0, abs=1.0)


# The other devices


@pytest.mark.parametrize("phase", ["corundum", "halite", "quartz"])
def test_a_phase_is_recognised_by_its_own_lines(starter: Any, phase: str) -> None:
    patterns = starter["patterns"]
    phases = json.loads((starter["path"] / "my_lab" / "data" / "reference_peaks.json").read_text())["phases"]
    at = patterns.angles(20.0, 80.0)
    peaks = patterns.find_peaks(at, patterns.simulate(phases[phase], at, Random(7)))
    strong = [angle for angle, percent in phases[phase] if percent > 10]
    assert len(peaks) >= len(strong)
    assert {patterns.match(angle, phases) for angle, _ in peaks} == {phase}


def test_an_empty_holder_has_no_peaks(starter: Any) -> None:
    patterns = starter["patterns"]
    at = patterns.angles(20.0, 80.0)
    assert patterns.find_peaks(at, patterns.simulate([], at, Random(7))) == []


@pytest.fixture
def devices(starter: Any) -> dict[str, Any]:
    built: dict[str, Any] = {name: build_device(name) for name in starter["description"]["devices"]}
    for device in built.values():
        # The shortest possible wait: nothing here tests time.
        device.speed_up = 1e9
        device.connect()
    return built


def test_the_diffractometer_names_the_phase_on_its_stage(devices: dict[str, Any]) -> None:
    phases = [peak["phase"] for peak in devices["xrd"].scan(20.0, 55.0)]
    assert len(phases) >= 4
    assert set(phases) == {"quartz"}


def test_a_backward_scan_is_refused(devices: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="xrd scans upwards"):
        devices["xrd"].scan(50.0, 20.0)


def test_doser_and_balance_agree_within_their_errors(devices: dict[str, Any]) -> None:
    dispensed_mg = devices["powder_doser"].dose("quartz", 250.0)
    assert dispensed_mg == pytest.approx(250.0, rel=0.05)
    assert devices["balance"].weigh(dispensed_mg) == pytest.approx(dispensed_mg, abs=1.0)


def test_the_doser_refuses_what_it_cannot_dispense(devices: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"doses 1 to 10000 mg, not 0\.1"):
        devices["powder_doser"].dose("quartz", 0.1)


def test_after_an_emergency_stop_a_device_refuses_until_it_is_connected_again(devices: dict[str, Any]) -> None:
    arm = devices["robot_arm"]
    arm.emergency_stop()
    with pytest.raises(RuntimeError, match="robot_arm was stopped in an emergency"):
        arm.move("table/1", "storage/1")
    arm.connect()
    arm.move("table/1", "storage/1")
    assert not arm.is_running()


def test_a_disconnected_device_refuses_to_work(devices: dict[str, Any]) -> None:
    devices["balance"].disconnect()
    with pytest.raises(ConnectionError, match="balance is not connected"):
        devices["balance"].weigh(1.0)


# The tasks, with the real drivers


@pytest.fixture
def view(starter: Any, devices: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The small laboratory that comes with the starter's tests."""
    monkeypatch.syspath_prepend(str(starter["path"] / "tests"))
    fake_lab = importlib.import_module("fake_lab")
    yield fake_lab.FakeLabView({type(device): device for device in devices.values()})
    del sys.modules["fake_lab"]


def run(task: str, view: Any, *samples: str, **parameters: Any) -> Any:
    made = make_task(registry.tasks[task].cls, parameters, samples, "task", view)
    assert made.validate()
    return made.run()


def test_dosing_weighs_every_sample_and_leaves_it_on_the_table(view: Any) -> None:
    result = run("Dosing", view, "s1", "s2", powder="quartz", mass_mg=100)
    assert [view.get_sample(sample).position for sample in ("s1", "s2")] == ["table/1", "table/2"]
    for masses in result["masses"].values():
        assert masses["weighed_mg"] == pytest.approx(masses["dispensed_mg"], abs=1.0)


def test_heating_reaches_its_temperature_and_uses_energy(view: Any) -> None:
    result = run("Heating", view, "s1", temperature_c=300, minutes=5)
    assert result["peak_temperature_c"] == pytest.approx(300.0, abs=0.01)
    assert 0.05 < result["energy_kwh"] < 0.5


def test_characterising_names_the_phases_by_sample(view: Any) -> None:
    result = run("Characterising", view, "s1", start=20, end=55)
    assert result["s1"]["phases"] == ["quartz"]
    assert view.get_sample("s1").position == "table/1"


def test_moving_tells_where_the_samples_are(view: Any) -> None:
    assert run("Moving", view, "s1", destination="storage") == {"places": {"s1": "storage/1"}}


@pytest.mark.parametrize(("hand_out", "place"), [(False, "storage/1"), (True, None)])
def test_ending_stores_samples_or_hands_them_out(view: Any, hand_out: bool, place: str | None) -> None:
    run("Moving", view, "s1")
    assert run("Ending", view, "s1", hand_out=hand_out) == {"places": {"s1": place}}
    assert view.get_sample("s1").position == place


@pytest.mark.parametrize(
    ("task", "parameters", "sentence"),
    [
        ("Heating", {"temperature_c": 300, "minutes": -1}, "minutes must not be negative, it is -1"),
        ("Dosing", {"powder": "quartz", "mass_mg": 0}, "mass_mg must be positive, it is 0"),
        ("Characterising", {"start": 50, "end": 20}, "start must be below end, it is 50 and end is 20"),
    ],
)
def test_work_that_makes_no_sense_is_refused(view: Any, task: str, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(task, view, "s1", **parameters)
    assert view.log == []
