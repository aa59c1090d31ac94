"""Queued tasks are constructed and validated, never run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.definitions import examine, registry

TASKS = """
from lab.definitions import BaseTask, add_task


class Heating(BaseTask):
    def __init__(self, celsius: float, minutes: int = 60):
        if minutes == 13:
            raise RuntimeError("thirteen is not\\nallowed")
        self.celsius = celsius

    def validate(self):
        if self.celsius > 2000:
            raise ValueError("a furnace ends at 2000 degrees.")
        return self.celsius != 0

    def run(self):
        raise AssertionError("it was run")


class Weighing(BaseTask):
    def __init__(self):
        self.first = self.samples[0]

    def run(self):
        pass


class Asking(BaseTask):
    def validate(self):
        self.lab_view.get_sample("s")

    def run(self):
        pass


for each in (Heating, Weighing, Asking):
    add_task(each)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "examined_lab").mkdir()
    (tmp_path / "examined_lab" / "__init__.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "tasks", {})
    yield "examined_lab"
    sys.modules.pop("examined_lab", None)


@pytest.mark.parametrize(
    ("kind", "parameters", "objection"),
    [
        ("Heating", {"celsius": 900}, None),
        ("Heating", {}, {"field": "celsius", "reason": "parameter 'celsius' is missing"}),
        (
            "Heating",
            {"celsius": 900, "hours": 1},
            {"field": "hours", "reason": "there is no parameter 'hours', it takes celsius, minutes"},
        ),
        (
            "Heating",
            {"celsius": 900, "minutes": 13},
            {"field": None, "reason": "RuntimeError: thirteen is not allowed"},
        ),
        ("Heating", {"celsius": 2001}, {"field": None, "reason": "a furnace ends at 2000 degrees"}),
        ("Heating", {"celsius": 0}, {"field": None, "reason": "validate() refuses its parameters"}),
        ("Weighing", {}, None),
        (
            "Asking",
            {},
            {
                "field": None,
                "reason": "RuntimeError: lab_view.get_sample is there when a task runs, not in its constructor or "
                "validate",
            },
        ),
        ("Cooling", {}, {"field": None, "reason": "there is no task type 'Cooling' any more"}),
    ],
)
def test_a_queued_task_that_does_not_fit_is_told_with_field_and_reason(
    package: str, kind: str, parameters: dict[str, Any], objection: dict[str, Any] | None
) -> None:
    asked = {"type": kind, "parameters": parameters, "samples": ["s"]}
    assert examine(package, [asked]) == {"objections": [objection]}


def test_the_answers_come_in_the_order_of_the_tasks(package: str) -> None:
    asked = [{"type": "Heating", "parameters": {"celsius": value}, "samples": []} for value in (1, 0, 2)]
    assert [each is None for each in examine(package, asked)["objections"]] == [True, False, True]
