"""Tasks: their parameters, how they are made, and methods that pretend."""

from __future__ import annotations

from typing import Any, Literal
from unittest.mock import Mock

import pytest
from pydantic import BaseModel

from lab.definitions import (
    BaseTask,
    ParameterError,
    TaskPriority,
    check_parameters,
    in_simulation,
    make_task,
    mock,
    parameter_model,
    set_simulation,
)


def test_priorities_have_the_numbers_that_laboratories_agree_on() -> None:
    agreed = {"SYSTEM": 900, "URGENT": 100, "HIGH": 30, "NORMAL": 20, "LOW": 10}
    assert {each.name: each.value for each in TaskPriority} == agreed


class Step(BaseModel):
    celsius: float


class Heating(BaseTask):
    def __init__(self, temperature: float, minutes: float = 60, *, steps: list[Step] | None = None) -> None:
        self.temperature, self.minutes, self.steps = temperature, minutes, steps
        self.samples_seen = list(self.samples)

    def run(self) -> float:
        return self.temperature


class PeerStyle(BaseTask):
    def __init__(self, mode: Literal["fast", "slow"], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mode = mode

    def run(self) -> None: ...


class Bare(BaseTask):
    def run(self) -> None: ...


class Awkward(BaseTask):
    def __init__(self, json: str, copy: int = 1, model_config: int = 2, _hidden: int = 3) -> None:
        self.values = (json, copy, model_config, _hidden)

    def run(self) -> None: ...


class Unresolved(BaseTask):
    def __init__(self, powder: Powder) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - on purpose

    def run(self) -> None: ...


def made(cls: type[BaseTask], **parameters: Any) -> Any:
    return make_task(cls, parameters, ["s1"], "t1", Mock())


def test_checked_parameters_have_the_annotated_types() -> None:
    checked = check_parameters(Heating, {"temperature": 900, "steps": [{"celsius": 5}]})
    assert checked == {"temperature": 900.0, "steps": [Step(celsius=5)]}


def test_parameters_left_out_keep_the_default_of_the_code_that_runs() -> None:
    assert "minutes" not in check_parameters(Heating, {"temperature": 1})
    assert made(Heating, temperature=1).minutes == 60


@pytest.mark.parametrize(
    ("cls", "parameters", "field", "sentence"),
    [
        (Heating, {}, "temperature", "task Heating: parameter 'temperature' is missing"),
        (
            Heating,
            {"temperature": 1, "heat": 2},
            "heat",
            "task Heating: there is no parameter 'heat', it takes temperature, minutes, steps",
        ),
        (
            Heating,
            {"temperature": "hot"},
            "temperature",
            "task Heating: parameter 'temperature': input should be a valid number, "
            "unable to parse string as a number, not 'hot'",
        ),
        (Heating, {"temperature": 1, "steps": [{}]}, "steps", "task Heating: parameter 'steps.0.celsius' is missing"),
        (PeerStyle, {"mode": "odd"}, "mode", "task PeerStyle: parameter 'mode': input should be 'fast' or 'slow'"),
        (Bare, {"x": 1}, "x", "task Bare: there is no parameter 'x', it takes no parameters"),
    ],
)
def test_wrong_parameters_are_named_with_the_reason(
    cls: type[BaseTask], parameters: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        check_parameters(cls, parameters)
    assert caught.value.field == field
    assert str(caught.value).startswith(sentence)


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(ParameterError, match=r"'temperature' is missing; there is no parameter 'heat'"):
        check_parameters(Heating, {"heat": 2})


def test_a_task_has_its_samples_id_and_view_when_its_constructor_runs() -> None:
    view = Mock()
    task = make_task(Heating, {"temperature": 5}, ["s1", "s2"], "t1", view)
    assert task.samples_seen == ["s1", "s2"]
    assert (task.task_id, task.lab_view) == ("t1", view)


def test_constructors_that_pass_everything_on_are_accepted() -> None:
    assert made(PeerStyle, mode="fast").mode == "fast"


def test_a_task_without_a_constructor_takes_no_parameters() -> None:
    assert parameter_model(Bare).model_json_schema()["properties"] == {}
    assert made(Bare).samples == ["s1"]


def test_parameters_may_be_called_like_attributes_of_a_model() -> None:
    assert made(Awkward, json="a", model_config=5, _hidden=6).values == ("a", 1, 5, 6)
    assert list(parameter_model(Awkward).model_json_schema()["properties"]) == [
        "json",
        "copy",
        "model_config",
        "_hidden",
    ]


def test_an_annotation_that_does_not_resolve_is_told() -> None:
    with pytest.raises(Exception, match=r"task Unresolved cannot be described \(name 'Powder' is not defined\)"):
        parameter_model(Unresolved)


def test_messages_of_a_task_go_to_its_view() -> None:
    task = made(Bare)
    task.set_message("halfway")
    task.lab_view.set_message.assert_called_once_with("halfway")


class Scale:
    @mock(return_constant=5.0)
    def weigh(self) -> float:
        return -1.0

    @mock(object_type=[Heating, Step])
    def parts(self) -> Any:
        return "real"


@pytest.fixture
def hardware() -> Any:
    set_simulation(False)
    yield
    set_simulation(True)


def test_simulation_is_on_until_somebody_turns_it_off() -> None:
    assert in_simulation()
    assert Scale().weigh() == 5.0


@pytest.mark.usefixtures("hardware")
def test_a_mocked_method_runs_outside_simulation() -> None:
    assert Scale().weigh() == -1.0


def test_mock_objects_have_the_attributes_of_their_classes() -> None:
    heating, step = Scale().parts()
    assert isinstance(heating, Heating)
    assert isinstance(step, Step)
    with pytest.raises(AttributeError):
        _ = heating.no_such_attribute


def test_mock_refuses_two_answers() -> None:
    with pytest.raises(TypeError, match="not both"):
        mock(return_constant=1, object_type=Step)
