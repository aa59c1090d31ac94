"""What a program is told of an experiment it submitted."""

from __future__ import annotations

from typing import Any

import pytest

from lab import get_experiment_result, get_experiment_status
from lab.client import LabClient

PIN = {"snapshot": "ab" * 32, "commit": "c0ffee", "generation": 2}
TASK = {
    "id": "t1",
    "type": "Heating",
    "status": "COMPLETED",
    "message": "done",
    "label": "firing",
    "samples": ["s1"],
    "parameters": {"minutes": 3},
    "result": {"peak": 900},
    "started_at": "2030",
    "ended_at": "2031",
    "pin": PIN,
    "error": None,
    "claim": {"token": "secret"},
    "attempts": [],
}
EXPERIMENT = {
    "id": "e1",
    "name": "first light",
    "status": "RUNNING",
    "progress": 0.5,
    "submitted_at": "2029",
    "completed_at": None,
    "tags": ["x"],
    "metadata": {"operator": "Ada"},
    "tasks": [TASK],
    "samples": [{"id": "s1", "name": "one", "position": "table/1", "tags": [], "metadata": {}, "history": [1]}],
}


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(client: LabClient, identifier: str) -> Any:
        assert (client.url, identifier) == ("http://127.0.0.1:1", "e1")
        return EXPERIMENT

    monkeypatch.setattr(LabClient, "experiment", answer)


def test_the_status_is_brief() -> None:
    told = get_experiment_status("e1", "http://127.0.0.1:1")
    assert told == {
        "id": "e1",
        "name": "first light",
        "submitted_at": "2029",
        "status": "RUNNING",
        "progress": 0.5,
        "samples": [{"id": "s1", "label": None, "name": "one", "position": "table/1"}],
        "tasks": [{"id": "t1", "label": "firing", "type": "Heating", "status": "COMPLETED", "message": "done"}],
    }


def test_the_result_names_samples_times_and_code() -> None:
    told = get_experiment_result("e1", "http://127.0.0.1:1")
    (task,) = told["tasks"]
    assert (told["metadata"], told["tags"], told["completed_at"]) == ({"operator": "Ada"}, ["x"], None)
    assert (task["samples"], task["parameters"], task["result"]) == (["one"], {"minutes": 3}, {"peak": 900})
    assert (task["started_at"], task["ended_at"], task["pin"]) == ("2030", "2031", PIN)
    assert "claim" not in task
