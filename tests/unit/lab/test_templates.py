"""Experiment templates: what a lab package registers, and what becomes of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from hotswap.errors import DescribeError
from lab import BaseTask, ExperimentBuilder, add_experiment_template
from lab.definitions import registry
from lab.definitions._describe import _describe_template
from lab.experiments.templates import expand


class Heating(BaseTask):
    def __init__(self, minutes: int) -> None:
        self.minutes = minutes

    def run(self) -> None: ...


def firing(samples: Annotated[int, Field(ge=1)], minutes: int = 30) -> ExperimentBuilder:
    """Heat some samples together."""
    if minutes > 600:
        raise ValueError("ten hours at most")
    experiment = ExperimentBuilder("firing")
    experiment.add_task(Heating, {"minutes": minutes}, [experiment.add_sample(f"s{n}") for n in range(samples)])
    return experiment


def clumsy() -> ExperimentBuilder:
    return ExperimentBuilder("x").add_task(Heating, {"minutes": "long"})  # type: ignore[return-value]


def empty() -> None: ...


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(registry.templates)
    for function in (firing, clumsy, empty):
        assert add_experiment_template(function) is function
    yield
    registry.templates.clear()
    registry.templates.update(before)


def test_a_template_is_described_with_what_it_takes() -> None:
    told = _describe_template(registry.templates["firing"])
    assert told["description"] == "Heat some samples together."
    assert told["schema"]["required"] == ["samples"]
    assert told["schema"]["properties"]["minutes"]["default"] == 30
    assert told["where"].endswith(f":{registry.templates['firing'].where.line}")


def test_parameters_become_an_experiment() -> None:
    told = expand("json", "firing", {"samples": 2})  # a package with nothing to register
    assert told["refused"] is None
    assert [sample["name"] for sample in told["experiment"]["samples"]] == ["s0", "s1"]
    assert told["experiment"]["tasks"][0]["parameters"] == {"minutes": 30}


@pytest.mark.parametrize(
    ("template", "parameters", "reason"),
    [
        ("firing", {"samples": 0}, "parameter 'samples': input should be greater than or equal to 1, not 0"),
        ("firing", {}, "parameter 'samples' is missing"),
        ("firing", {"samples": 1, "minutes": 601}, "ValueError: ten hours at most"),
        ("clumsy", {}, "task Heating: parameter 'minutes'"),
        ("empty", {}, "it returns NoneType in place of an ExperimentBuilder"),
    ],
)
def test_what_a_template_refuses_is_the_end_of_a_sentence(template: str, parameters: Any, reason: str) -> None:
    told = expand("json", template, parameters)
    assert told["experiment"] is None
    assert told["refused"].startswith(reason)


def test_where_a_template_failed_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    expand("json", "firing", {"samples": 1, "minutes": 601})
    assert "in firing" in caplog.text


@pytest.mark.parametrize("wrong", [lambda: None, Heating, "firing"])
def test_only_a_function_with_a_name_is_a_template(wrong: Any) -> None:
    with pytest.raises(DescribeError, match=r"test_templates\.py:\d+: add_experiment_template\(\) was given"):
        add_experiment_template(wrong)


def test_two_templates_of_one_name_are_refused() -> None:
    with pytest.raises(DescribeError, match="template 'firing' is already registered at"):
        add_experiment_template(firing)


def test_a_template_whose_parameters_json_cannot_carry_is_refused() -> None:
    def strange(what: BaseTask) -> None: ...

    registry.add_template(strange)
    with pytest.raises(DescribeError, match="the parameters of template strange cannot be described"):
        _describe_template(registry.templates["strange"])
