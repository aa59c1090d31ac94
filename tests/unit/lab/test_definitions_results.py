"""What a task promises to return, as it is described."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from hotswap.errors import DescribeError
from lab import BaseTask, LargeResult
from lab.definitions import result_complaint, result_model


class Scan(BaseModel):
    peaks: list[float]
    image: LargeResult | None = None


class Task(BaseTask):
    def run(self) -> None: ...


class ByMethod(Task):
    @classmethod
    def result_specification(cls) -> type[BaseModel]:
        return Scan


class ByProperty(Task):
    @property
    def result_specification(self) -> type[BaseModel]:  # type: ignore[override]
        return Scan


class ByAttribute(Task):
    result_specification = Scan  # type: ignore[assignment]


@pytest.mark.parametrize("cls", [ByMethod, ByProperty, ByAttribute])
def test_a_promise_may_be_made_in_three_ways(cls: type[BaseTask]) -> None:
    assert result_model(cls) is Scan


def test_nothing_is_promised_unless_it_is_said() -> None:
    assert result_model(Task) is None
    assert result_complaint(Task, object()) is None


def test_a_promise_that_is_no_model_is_refused() -> None:
    class Wrong(Task):
        result_specification = int  # type: ignore[assignment]

    with pytest.raises(DescribeError, match="task Wrong is <class 'int'>: give"):
        result_model(Wrong)


REFERENCE = {"large_result": "r", "name": "n", "size": 1, "blake3": "b"}


@pytest.mark.parametrize("result", [{"peaks": [1]}, {"peaks": ["1.5"], "image": REFERENCE}])
def test_what_is_as_promised_passes(result: Any) -> None:
    assert result_complaint(ByMethod, result) is None


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        ({}, "field 'peaks' is missing"),
        ({"peaks": ["left"]}, "field 'peaks.0': input should be a valid number"),
        ({"peaks": [], "image": "scan.tif"}, "field 'image"),
        (3, "input should be a valid dictionary"),
    ],
)
def test_the_field_that_is_not_as_promised_is_named(result: Any, complaint: str) -> None:
    assert complaint in str(result_complaint(ByMethod, result))


def test_a_validator_that_fails_costs_no_result() -> None:
    class Faulty(BaseModel):
        value: int

        @field_validator("value")
        @classmethod
        def divide(cls, value: int) -> float:
            return 1 / value

    class Promising(Task):
        result_specification = Faulty  # type: ignore[assignment]

    assert result_complaint(Promising, {"value": 0}) == "ZeroDivisionError: division by zero"
