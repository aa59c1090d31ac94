"""Experiments written as a program."""

from __future__ import annotations

import builtins
import json
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from lab import BaseTask, ExperimentBuilder
from lab.catalog import Definitions
from lab.definitions import ParameterError
from lab.experiments.builder import BuildError
from lab.experiments.experiment_file import read
from lab.experiments.submission import check

ANYTHING = {"schema": {"type": "object"}}
DEFINITIONS = Definitions(
    snapshot="a" * 64,
    package="my_lab",
    devices={},
    tasks={"Dosing": ANYTHING, "Heating": ANYTHING},
    positions=[],
    drivers={},
)


class Heating(BaseTask):
    def __init__(self, minutes: int) -> None:
        self.minutes = minutes

    def run(self) -> None: ...


def built() -> ExperimentBuilder:
    """Two samples dosed one by one, then heated together."""
    experiment = ExperimentBuilder("first light", ["calibration"], operator="Ada")
    one, two = experiment.add_sample("one", batch=7), experiment.add_sample("two")
    experiment.add_task("Dosing", {"mass_mg": 250}, [one])
    experiment.add_task("Dosing", {"mass_mg": 125}, [two])
    experiment.add_task("Heating", {"minutes": 30}, [one, two], task_id="firing", priority=30)
    return experiment


def previous(experiment: ExperimentBuilder) -> list[list[int]]:
    return [task["prev_tasks"] for task in experiment.to_dict()["tasks"]]


def test_a_built_experiment_is_one_that_can_be_submitted() -> None:
    document = built().to_dict()
    assert (document["name"], document["tags"], document["metadata"]) == (
        "first light",
        ["calibration"],
        {"operator": "Ada"},
    )
    assert document["samples"][0] == {"name": "one", "tags": [], "metadata": {"batch": 7}}
    assert document["tasks"][2] == {
        "type": "Heating",
        "parameters": {"minutes": 30},
        "prev_tasks": [0, 1],
        "samples": ["one", "two"],
        "task_id": "firing",
        "priority": 30,
    }
    assert len(check(document, DEFINITIONS).tasks) == 3


def test_a_task_comes_after_what_was_done_with_its_samples_last() -> None:
    assert previous(built()) == [[], [], [0, 1]]


def test_the_order_can_be_said_instead() -> None:
    experiment = ExperimentBuilder("order")
    first = experiment.add_task("Dosing", task_id="first")
    experiment.add_task("Dosing", after=())
    experiment.add_task("Heating", after=[first, "first"])
    experiment.add_task("Heating", after=first)
    assert previous(experiment) == [[], [], [0], [0]]


def test_a_sample_can_join_a_task_later() -> None:
    experiment = built()
    three = experiment.add_sample("three")
    three.add_task(experiment.tasks[2])
    assert experiment.to_dict()["tasks"][2]["samples"] == ["one", "two", "three"]
    assert three.tasks == [experiment.tasks[2]]


def test_a_sample_joins_a_task_by_what_was_returned_and_not_by_its_label() -> None:
    experiment = built()
    three = experiment.add_sample("three")
    with pytest.raises(BuildError, match=r"Sample 'three' was given 'firing'; give it what add_task .* gave\.$"):
        three.add_task("firing")  # type: ignore[arg-type]
    assert three.tasks == []


def test_the_parameters_of_a_class_are_checked_at_once() -> None:
    experiment = ExperimentBuilder("classes")
    experiment.add_task(Heating, {"minutes": 5})
    with pytest.raises(ParameterError, match="'minutes'"):
        experiment.add_task(Heating, {"minutes": "long"})
    assert experiment.to_dict()["tasks"] == [
        {"type": "Heating", "parameters": {"minutes": 5}, "prev_tasks": [], "samples": []}
    ]


def test_parameters_become_what_json_carries() -> None:
    experiment = ExperimentBuilder("plain", when=datetime(2026, 1, 2, tzinfo=UTC))
    task = experiment.add_task("Heating", {"path": PurePosixPath("a/b"), "set": {2, 1}})
    assert task.parameters == {"path": "a/b", "set": [1, 2]}
    assert experiment.metadata == {"when": "2026-01-02T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda e: e.add_sample("one"), "There is a sample 'one' already"),
        (lambda e: e.add_task("Heating", samples=["four"]), "This experiment has no sample 'four'"),
        (lambda e: e.add_task("Heating", after=["four"]), "This experiment has no task 'four' yet"),
        (lambda e: e.add_task("Heating", task_id="firing"), "There is a task 'firing' already"),
        (lambda e: e.add_task("Heating", {"a": object()}), r"The parameters of Heating\['a'\] is a builtins.object"),
        (lambda e: e.add_task("Heating", {"a": float("nan")}), r"Heating\['a'\] is nan, which JSON cannot carry"),
        (lambda e: e.add_sample("x", raw=b"1"), r"The metadata of sample 'x'\['raw'\] is b'1'"),
        (lambda e: e.generate_input_file("x", "xml"), "There is no format 'xml'"),
        (lambda e: e.add_task("Heating", samples=ExperimentBuilder("other").add_sample("one")), "no sample 'one'"),
    ],
)
def test_what_cannot_be_written_like_this_is_said_in_a_sentence(wrong: Any, sentence: str) -> None:
    experiment = built()
    with pytest.raises(BuildError, match=sentence):
        wrong(experiment)
    assert len(experiment.tasks) == 3


@pytest.mark.parametrize("fmt", ["json", "yaml"])
def test_a_written_file_is_read_back_as_it_was_built(tmp_path: Path, fmt: Any) -> None:
    path = tmp_path / "experiment"
    built().generate_input_file(path, fmt)
    text = path.read_text()
    assert (json.loads if fmt == "json" else yaml.safe_load)(text) == built().to_dict()
    assert read(text.encode(), "it") == built().to_dict()


def test_the_order_is_drawn_as_text() -> None:
    lines = built().mermaid().splitlines()
    assert lines[0] == "flowchart TD"
    assert '  t2["2 Heating<br>one, two"]' in lines
    assert lines[-2:] == ["  t0 --> t2", "  t1 --> t2"]


def test_plotting_without_matplotlib_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BuildError, match=r"matplotlib is not installed; .*mermaid\(\)"):
        built().plot()


class Axes:
    """Notes what is drawn on it, like matplotlib's."""

    def __init__(self) -> None:
        self.texts: list[tuple[float, float, str]] = []
        self.arrows: list[tuple[Any, Any]] = []

    def text(self, x: float, y: float, text: str, **_: Any) -> None:
        self.texts.append((x, y, text))

    def annotate(self, _: str, xy: Any, xytext: Any, **__: Any) -> None:
        self.arrows.append((xytext, xy))

    def set_xlim(self, *_: float) -> None: ...
    def set_ylim(self, *_: float) -> None: ...
    def set_title(self, _: str) -> None: ...
    def set_axis_off(self) -> None: ...


def test_later_tasks_are_drawn_below_those_they_come_after() -> None:
    axes = Axes()
    assert built().plot(axes) is axes
    assert [(x, y) for x, y, _ in axes.texts] == [(0, 0), (1, 0), (0, -1)]
    assert axes.arrows == [((0, 0), (0, -1)), ((1, 0), (0, -1))]
