"""What takes samples away that were left in the way: registered and described."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotswap.errors import DescribeError
from lab.definitions import describe, registry

ROOT = """
from lab import add_device, add_reroute_task, add_standalone_sample_position, add_task
from lab import BaseDevice, BaseTask, SamplePosition
from .things import Furnace, Moving

add_device(Furnace, name="f1")
add_standalone_sample_position(SamplePosition("table", 2))
add_task(Moving)
"""

THINGS = """
from lab import BaseDevice, BaseTask, SamplePosition


class Furnace(BaseDevice):
    sample_positions = [SamplePosition("slot", 2)]

    def connect(self): ...
    def disconnect(self): ...
    def is_running(self): return False


class Moving(BaseTask):
    def __init__(self, destination: str): ...
    def run(self): ...


class Other(Moving): ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Writes a lab package that ends with a line; gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(__import__("sys").modules)

    def write(line: str) -> str:
        (tmp_path / "rerouting_lab").mkdir()
        (tmp_path / "rerouting_lab" / "things.py").write_text(THINGS)
        (tmp_path / "rerouting_lab" / "__init__.py").write_text(ROOT + line)
        return "rerouting_lab"

    yield write
    registry.clear()
    for name in set(__import__("sys").modules) - before:
        if name.startswith("rerouting_lab"):
            del __import__("sys").modules[name]


@pytest.mark.parametrize("positions", ["table", "table/2", "f1", "f1/slot", "f1/slot/1"])
def test_a_place_is_named_in_full_or_by_what_it_is_part_of(package: Callable[[str], str], positions: str) -> None:
    told = describe(package(f"add_reroute_task({positions!r}, Moving, destination='table')"))
    assert told["reroutes"] == [
        {
            "positions": [positions],
            "task": "Moving",
            "parameters": {"destination": "table"},
            "where": "rerouting_lab/__init__.py:9",
        }
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("add_reroute_task('f1/slots', Moving, destination='table')", "this lab has no sample position 'f1/slots'"),
        ("add_reroute_task('f1/slot/3', Moving, destination='table')", "this lab has no sample position 'f1/slot/3'"),
        ("add_reroute_task([], Moving, destination='table')", "give it names of sample positions"),
        ("add_reroute_task([1], Moving, destination='table')", "give it names of sample positions"),
        ("add_reroute_task('table', Furnace)", "give it a subclass of BaseTask"),
        ("add_reroute_task('table', Moving, destination={1})", "parameters that JSON cannot carry"),
        ("add_reroute_task('table', Moving)", "task Moving: parameter 'destination' is missing: correct what"),
        ("from .things import Other; add_reroute_task('table', Other, destination='x')", "Other is no registered task"),
    ],
)
def test_a_reroute_that_cannot_work_is_refused_with_its_line(
    package: Callable[[str], str], line: str, sentence: str
) -> None:
    with pytest.raises(DescribeError) as caught:
        describe(package(line))
    assert sentence in str(caught.value)
    assert (caught.value.path, caught.value.line) == ("rerouting_lab/__init__.py", 9)
