"""What a lab author registers, and what the runtime is told about it."""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hotswap.errors import DescribeError
from lab import definitions
from lab.definitions import SamplePosition, build_device, describe, load, position_names, registry

DRIVER = """
from lab import BaseDevice, SamplePosition

class Furnace(BaseDevice):
    built = 0

    def __init__(self, name, port="", limit=1200.0):
        super().__init__(name, description="hot")
        type(self).built += 1
        self.port, self.limit = port, limit

    @property
    def sample_positions(self):
        return [SamplePosition("slot", number=2)]

    def connect(self): ...
    def disconnect(self): ...
    def is_running(self): return False
"""

TASK = """
from lab import BaseTask

class Heating(BaseTask):
    def __init__(self, temperature: float, minutes: float = 60): ...
    def run(self): ...
"""

HEADER = """
from lab import SamplePosition, add_device, add_standalone_sample_position, add_task
from .furnace import Furnace
from .heating import Heating
"""

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a lab package whose root registers what it is told; forget it afterwards."""

    def write_package(root: str = "", driver: str = DRIVER, task: str = TASK) -> str:
        folder = tmp_path / "written_lab"
        folder.mkdir()
        (folder / "furnace.py").write_text(driver)
        (folder / "heating.py").write_text(task)
        (folder / "__init__.py").write_text(HEADER + textwrap.dedent(root))
        return "written_lab"

    monkeypatch.syspath_prepend(str(tmp_path))
    registry.clear()
    yield write_package
    registry.clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "written_lab"]:
        del sys.modules[module]


def furnace_class() -> Any:
    return sys.modules["written_lab.furnace"].Furnace


def refusal(package: str, action: Callable[[str], object] = load) -> DescribeError:
    with pytest.raises(DescribeError) as caught:
        action(package)
    return caught.value


# Recording


@pytest.mark.parametrize(
    "line", ['add_device(Furnace, name="f1", port="COM3")', 'add_device(Furnace(name="f1", port="COM3"))']
)
def test_both_ways_of_adding_a_device_record_the_same(write: Write, line: str) -> None:
    load(write(line))
    record = registry.devices["f1"]
    assert (record.args, record.kwargs) == ((), {"name": "f1", "port": "COM3"})
    assert str(record.where) == "written_lab/__init__.py:5"


@pytest.mark.parametrize("bring_in", [load, importlib.import_module])
def test_importing_a_lab_runs_no_constructor(write: Write, bring_in: Callable[[str], object]) -> None:
    bring_in(write('add_device(Furnace(name="f1"))'))
    assert furnace_class().built == 0
    assert list(registry.devices) == ["f1"]


def test_a_plain_import_ends_recording(write: Write) -> None:
    importlib.import_module(write())
    assert isinstance(furnace_class()("f1"), furnace_class())


def test_a_device_can_be_constructed_for_real_while_a_lab_is_imported(write: Write) -> None:
    importlib.import_module(
        write('add_device(Furnace, name="f1")\nfrom lab.definitions import build_device\nbuild_device("f1")')
    )
    assert furnace_class().built == 1


def test_a_device_is_built_for_real_with_its_recorded_arguments(write: Write) -> None:
    load(write('add_device(Furnace("f1", limit=900))'))
    device: Any = build_device("f1")
    assert isinstance(device, furnace_class())
    assert (device.name, device.limit) == ("f1", 900)


def test_a_device_constructed_outside_recording_registers_alike(write: Write) -> None:
    load(write())
    definitions.add_device(furnace_class()("f2", port="COM4"))
    assert registry.devices["f2"].arguments == {"name": "f2", "port": "COM4"}


def test_a_recorded_device_says_why_it_cannot_be_used(write: Write) -> None:
    with pytest.raises(AttributeError, match="Furnace is only recorded while the lab is imported"):
        load(write('Furnace("f1").connect()'))


def test_a_failing_import_ends_recording(write: Write) -> None:
    with pytest.raises(ZeroDivisionError):
        load(write("1 / 0"))
    assert not definitions._recording.is_recording()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("add_device(Furnace)", "the arguments do not fit Furnace"),
        ('add_device(Furnace, name="a", heat=1)', "unexpected keyword argument 'heat'"),
        ("add_device(Furnace, name=None)", "this Furnace has no name"),
        ('add_device(Furnace, name="a/b")', "'a/b' cannot name a device: leave out '/'"),
        ('add_device(Furnace, name="a.b")', "leave out '.'"),
        ('add_device(Furnace, name="")', "'' cannot name a device"),
        ('add_device(Furnace, name="a", port=object())', "argument port of device 'a' is a object"),
        ('add_device(Furnace, name="a", port=[{"x": {1}}])', "argument port of device 'a' is a list"),
        ('add_device(Furnace, name="a", shares=1)', "device 'a' has shares=1"),
        ('add_device("Furnace", name="a")', "give the class, or the device alone"),
        ('add_device("Furnace")', "add_device() was given 'Furnace'"),
        ("add_device(Heating)", "give it a subclass of BaseDevice"),
        ("add_task(Furnace)", "give it a subclass of BaseTask"),
        ("add_task(Heating); add_task(Heating)", "task 'Heating' is already registered at"),
        ("add_standalone_sample_position('table')", "'table' is no sample position"),
        ("from lab import BaseDevice; add_device(BaseDevice, name='a')", "BaseDevice lacks connect, disconnect"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_its_line(write: Write, lines: str, sentence: str) -> None:
    error = refusal(write(lines))
    assert sentence in str(error)
    assert (error.path, error.line) == ("written_lab/__init__.py", 5)


def test_a_duplicate_name_is_refused_naming_both_places(write: Write) -> None:
    error = refusal(write('add_device(Furnace, name="a")\nadd_device(Furnace, name="a")'))
    assert str(error) == (
        "written_lab/__init__.py:6: device 'a' is already registered at written_lab/__init__.py:5: rename or remove one"
    )


def test_a_refused_device_is_not_registered(write: Write) -> None:
    refusal(write('add_device(Furnace, name="a", port=object())'))
    assert registry.devices == {}


def test_a_class_inside_a_function_is_refused(write: Write) -> None:
    root = """
    def make():
        class Local(Furnace): ...
        return Local
    add_device(make(), name="a")
    """
    assert "Local is defined inside a function" in str(refusal(write(root)))


# Positions


def test_places_are_numbered_from_one() -> None:
    slot = SamplePosition("slot", number=2)
    assert position_names(slot, "furnace_1") == ["furnace_1/slot/1", "furnace_1/slot/2"]
    assert position_names(slot) == ["slot/1", "slot/2"]


@pytest.mark.parametrize(("name", "number"), [("", 1), ("/slot", 1), ("slot/", 1), ("a$b", 1), ("a", 0), ("a", True)])
def test_an_unusable_position_is_refused(name: str, number: int) -> None:
    with pytest.raises(ValueError, match=r"sample position.*: (use|leave out) "):
        SamplePosition(name, number=number)


# Describing


def test_describing_tells_everything_as_json(write: Write) -> None:
    package = write(
        'add_device(Furnace, name="f1", port="COM3", shares="door")\n'
        'add_task(Heating)\nadd_standalone_sample_position(SamplePosition("table", 16, "near the door"))'
    )
    told = describe(package)
    assert json.loads(json.dumps(told)) == told
    assert told["devices"]["f1"] == {
        "class": "written_lab.furnace:Furnace",
        "bases": ["written_lab.furnace:Furnace"],
        "args": [],
        "kwargs": {"name": "f1", "port": "COM3"},
        "shares": "door",
        "group": "door",
        "positions": [{"name": "slot", "number": 2, "description": ""}],
        "description": "hot",
        "where": "written_lab/__init__.py:5",
    }
    assert told["positions"] == [{"name": "table", "number": 16, "description": "near the door"}]
    assert told["tasks"]["Heating"]["class"] == "written_lab.heating:Heating"
    assert told["tasks"]["Heating"]["where"] == "written_lab/__init__.py:6"


def test_the_schema_names_required_and_optional_parameters(write: Write) -> None:
    schema = describe(write("add_task(Heating)"))["tasks"]["Heating"]["schema"]
    assert schema["required"] == ["temperature"]
    assert schema["properties"]["minutes"] == {"default": 60, "title": "Minutes", "type": "number"}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("written", "told"), [("", "release"), ('clean_up = "ask"', "ask")])
def test_a_task_tells_what_becomes_of_it(write: Write, written: str, told: str) -> None:
    task = TASK.replace("class Heating(BaseTask):", f"class Heating(BaseTask):\n    {written}")
    described = describe(write("add_task(Heating)", task=task))["tasks"]["Heating"]
    assert (described["clean_up"], described["on_crash"]) == (told, "ask")


@pytest.mark.parametrize("written", ['clean_up = "keep"', "on_crash = True"])
def test_what_cannot_become_of_a_task_is_refused(write: Write, written: str) -> None:
    task = TASK.replace("class Heating(BaseTask):", f"class Heating(BaseTask):\n    {written}")
    error = refusal(write("add_task(Heating)", task=task), describe)
    assert f"task Heating has {written.replace(chr(34), chr(39))}: make it " in str(error)
    assert error.path == "written_lab/__init__.py"


def test_a_device_without_a_share_is_its_own_group(write: Write) -> None:
    assert describe(write('add_device(Furnace, name="f1")'))["devices"]["f1"]["group"] == "f1"


def test_bases_name_every_driver_class_but_the_root(write: Write) -> None:
    told = describe(write('class Hot(Furnace): ...\nadd_device(Hot, name="f1")'))
    assert told["devices"]["f1"]["bases"] == ["written_lab:Hot", "written_lab.furnace:Furnace"]


def test_a_constructor_that_raises_is_told_with_the_line_that_raised(write: Write) -> None:
    driver = DRIVER.replace("self.port, self.limit = port, limit", 'raise OSError("no such port")')
    error = refusal(write('add_device(Furnace, name="f1")', driver=driver), describe)
    assert (error.path, error.line) == ("written_lab/furnace.py", 10)
    assert "device 'f1' (registered at written_lab/__init__.py:5)" in str(error)
    assert "OSError: no such port" in str(error)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('super().__init__(name, description="hot")', "pass", "did not keep its name"),
        ('[SamplePosition("slot", number=2)]', '["slot"]', "must be a list of SamplePosition"),
        ('[SamplePosition("slot", number=2)]', '[SamplePosition("a")] * 2', "two sample positions called 'a'"),
    ],
)
def test_a_device_that_contradicts_itself_is_refused(write: Write, before: str, after: str, sentence: str) -> None:
    package = write('add_device(Furnace, name="f1")', driver=DRIVER.replace(before, after))
    assert sentence in str(refusal(package, describe))


def test_one_address_for_two_devices_is_refused(write: Write) -> None:
    package = write('add_device(Furnace, name="a", port="COM3")\nadd_device(Furnace, name="b", port="COM3")')
    error = refusal(package, describe)
    assert "devices 'a' (written_lab/__init__.py:5) and 'b'" in str(error)
    assert error.line == 6


@pytest.mark.parametrize(
    "second", ['port="COM4"', 'port="COM3", shares="cable"', 'port=""', ""], ids=["other", "shared", "empty", "none"]
)
def test_addresses_that_do_not_clash_are_accepted(write: Write, second: str) -> None:
    root = f'add_device(Furnace, name="a", port="COM3", shares="cable")\nadd_device(Furnace, name="b", {second})'
    assert set(describe(write(root))["devices"]) == {"a", "b"}


def test_a_position_named_like_a_device_is_refused(write: Write) -> None:
    root = 'add_device(Furnace, name="a")\nadd_standalone_sample_position(SamplePosition("a/slot"))'
    assert "begins like device 'a'" in str(refusal(write(root), describe))


def test_a_parameter_that_json_cannot_carry_is_refused_at_describing(write: Write) -> None:
    task = TASK.replace("temperature: float", "temperature: Path").replace("from lab", "import io\nfrom lab")
    task = task.replace("Path", "io.BytesIO")
    error = refusal(write("add_task(Heating)", task=task), describe)
    assert "the parameters of task Heating cannot be described" in str(error)
    assert (error.path, error.line) == ("written_lab/heating.py", 6)


def test_a_default_that_json_cannot_carry_is_refused_by_name(write: Write) -> None:
    error = refusal(write("add_task(Heating)", task=TASK.replace("= 60", "= object()")), describe)
    assert "parameter 'minutes' of task Heating has a default of type object" in str(error)
    assert (error.path, error.line) == ("written_lab/heating.py", 5)


def test_a_parameter_that_cannot_be_given_by_name_is_refused(write: Write) -> None:
    task = TASK.replace("temperature: float, ", "temperature: float, /, ")
    error = refusal(write("add_task(Heating)", task=task), describe)
    assert "parameter 'temperature' of task Heating is positional-only" in str(error)
    assert (error.path, error.line) == ("written_lab/heating.py", 5)


@pytest.mark.parametrize("method", ["def run(self, x): ...", "def validate(self, *, x): ...", "run = 3"])
def test_a_method_of_a_task_that_could_not_be_called_is_refused(write: Write, method: str) -> None:
    error = refusal(write("add_task(Heating)", task=f"{TASK}\n    {method}\n"), describe)
    assert " of Heating " in str(error)
    assert "it is called without arguments" in str(error)
    assert error.line == (5 if method == "run = 3" else 8)


@pytest.mark.parametrize(
    ("method", "called"),
    [
        ("def emergency_stop(self, now): ...", "emergency_stop of Furnace cannot be called (missing a required"),
        ("def connect(self, *, port): ...", "it is called without arguments"),
        ("def import_state(self): ...", "it is called with one argument"),
        ("is_running = False", "is_running of Furnace is no method"),
    ],
)
def test_a_method_of_a_driver_that_could_not_be_called_is_refused(write: Write, method: str, called: str) -> None:
    package = write('add_device(Furnace, name="a")', driver=f"{DRIVER}\n    {method}\n")
    assert called in str(refusal(package, describe))


def test_methods_may_have_more_parameters_than_are_given(write: Write) -> None:
    methods = """
    def emergency_stop(self, now=True): ...
    @staticmethod
    def check_health(): ...
    @classmethod
    def import_state(cls, state): ...
    """
    driver = DRIVER + methods
    assert set(describe(write('add_device(Furnace, name="a")', driver=driver))["devices"]) == {"a"}


@pytest.mark.parametrize("seconds", ["0", "-1", "'60'", "float('nan')", "float('inf')", "True", "None"])
def test_what_is_no_interval_between_looks_at_a_device_is_refused(write: Write, seconds: str) -> None:
    package = write('add_device(Furnace, name="a")', driver=f"{DRIVER}\n    check_health_seconds = {seconds}\n")
    error = refusal(package, describe)
    assert "device 'a' has check_health_seconds = " in str(error)
    assert error.line == 5


@pytest.mark.parametrize("described", ['description = "cold"', '@property\n    def description(self): return "cold"'])
def test_a_driver_class_may_describe_all_its_devices(write: Write, described: str) -> None:
    driver = DRIVER.replace(', description="hot"', "") + f"\n    {described}\n"
    told = describe(write('add_device(Furnace, name="a")', driver=driver))
    assert told["devices"]["a"]["description"] == "cold"


def test_a_lab_may_be_without_devices(write: Write) -> None:
    told = describe(write("add_task(Heating)"))
    assert (told["devices"], set(told["tasks"])) == ({}, {"Heating"})


def test_a_package_without_init_is_refused(write: Write, tmp_path: Path) -> None:
    package = write()
    (tmp_path / package / "__init__.py").unlink()
    error = refusal(package)
    assert (str(error).partition(":")[0], error.path) == (
        "written_lab/__init__.py is missing",
        "written_lab/__init__.py",
    )


def test_an_unknown_device_is_named_with_the_known_ones(write: Write) -> None:
    load(write('add_device(Furnace, name="f1")'))
    with pytest.raises(DescribeError, match="no device 'f9': it defines f1"):
        build_device("f9")


# Devices


def test_the_default_emergency_stop_says_that_it_stopped_nothing(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    load(write('add_device(Furnace, name="f1")'))
    device = build_device("f1")
    device.emergency_stop()
    assert "nothing was stopped" in caplog.text
    assert "nothing was stopped" in device.message
