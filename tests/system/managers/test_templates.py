"""Templates of current code, expanded by its template process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hotswap.errors import DescribeError
from lab.managers.templates import Templates
from lab.records import Document
from lab.refusals import ConflictError, NotFoundError, SubmissionError

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

NEW = "1" * 64
SCHEMA = {"properties": {"minutes": {"type": "integer"}}, "required": ["minutes"], "additionalProperties": False}
FIRING = {"schema": SCHEMA, "description": "Heat.", "where": "my_lab/templates.py:3"}


def templates(lab: Lab, answer: Any = None) -> Templates:
    """Of code that has one, whose process gives this answer, or raises it."""
    lab.promote(NEW)
    definitions = replace(lab.ground.catalog.get(NEW), templates={"firing": FIRING})

    def ask(snapshot: str, hook: str, question: Document) -> Document:
        assert (snapshot, hook, question["template"]) == (NEW, "lab.experiments.templates:expand", "firing")
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    return Templates(lambda: definitions, ask if answer is not None else None)


def test_templates_are_listed_with_what_they_take(lab: Lab) -> None:
    assert templates(lab).listed() == [{"name": "firing", **FIRING}]


def test_a_template_is_expanded_by_its_own_code(lab: Lab) -> None:
    experiment = {"name": "firing", "tasks": []}
    made = templates(lab, {"experiment": experiment, "refused": None})
    assert made.expand("firing", {"minutes": 1}) == experiment


@pytest.mark.parametrize(
    ("answer", "parameters", "sentence"),
    [
        ({}, {}, "Template firing: parameter 'minutes' is missing."),
        ({}, {"minutes": "1"}, "Template firing: parameter 'minutes' must be an integer, not '1'."),
        ({"refused": "too hot"}, {"minutes": 1}, "Template firing: too hot."),
        (DescribeError("signal 9"), {"minutes": 1}, "Template firing ended its process or passed a limit: signal 9"),
    ],
)
def test_what_is_refused_is_told_in_one_sentence(lab: Lab, answer: Any, parameters: Document, sentence: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        templates(lab, answer).expand("firing", parameters)
    assert str(caught.value) == sentence


def test_a_template_that_is_not_there_is_told_with_the_nearest(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match=r"There is no template 'fring'; did you mean 'firing'\?"):
        templates(lab, {}).expand("fring", {})


def test_without_processes_nothing_is_expanded(lab: Lab) -> None:
    with pytest.raises(ConflictError):
        templates(lab).expand("firing", {"minutes": 1})
