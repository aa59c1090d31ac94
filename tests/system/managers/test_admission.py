"""Experiments examined with current code before they are stored."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from hotswap.errors import DescribeError
from lab.experiments.submission import Submission, check
from lab.managers import admission
from lab.managers.admission import Admission
from lab.managers.examination import Examiner
from lab.records import Document, Examined
from lab.refusals import SubmissionError

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

NEW = "1" * 64


def submission(lab: Lab, *minutes: int) -> Submission:
    lab.promote(NEW)
    tasks = [{"type": "Heating", "parameters": {"minutes": each}, "samples": ["s"]} for each in minutes]
    document = {"name": "test", "samples": [{"name": "s"}], "tasks": tasks}
    return check(document, lab.ground.catalog.get(NEW))


def admitting(lab: Lab, *answers: Any, before: threading.Event | None = None) -> Admission:
    """With a template that gives these answers to the tasks it is asked about, in order."""

    def ask(snapshot: str, hook: str, question: Document) -> Document:
        if before is not None:
            before.wait()
        assert all(each["samples"] == ["s"] for each in question["tasks"])
        if isinstance(answers[0], Exception):
            raise answers[0]
        return {"objections": list(answers)}

    return Admission(Examiner(lab.records, ask))


@pytest.mark.parametrize(
    ("objection", "sentence"),
    [
        ({"field": None, "reason": "it is too hot"}, "Task 1 (Heating): it is too hot."),
        (
            {"field": "minutes", "reason": "parameter 'minutes': must be whole"},
            "Task 1 (Heating): parameter 'minutes': must be whole.",
        ),
        ({"field": "minutes", "reason": "must be whole"}, "Task 1 (Heating): parameter 'minutes': must be whole."),
    ],
)
def test_the_first_task_that_code_refuses_is_named_with_its_field(lab: Lab, objection: Any, sentence: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        admitting(lab, None, objection).admit(submission(lab, 1, 2), NEW)
    assert str(caught.value) == sentence


def test_what_is_admitted_is_not_examined_again_at_dispatch(lab: Lab) -> None:
    given = submission(lab, 1, 2)
    admitting(lab, None, None).admit(given, NEW)
    assert [task.get("examined") for task in given.tasks] == [Examined(snapshot=NEW, reason=None)] * 2


def test_code_that_dies_over_it_is_left_to_dispatch(lab: Lab) -> None:
    given = submission(lab, 1)
    admitting(lab, DescribeError("it ended with signal 11")).admit(given, NEW)
    assert given.tasks[0].get("examined") is None


def test_nobody_waits_for_an_answer_that_does_not_come(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE_SECONDS", 0.05)
    given, answered = submission(lab, 1), threading.Event()
    admitting(lab, None, before=answered).admit(given, NEW)
    answered.set()
    assert given.tasks[0].get("examined") is None
