"""The attempts at tasks, each with the code it ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lab.records import Document, Task

CODE: Final = ("snapshot", "generation", "commit", "dirty", "environment")
"""What names code, in every document."""

FIELDS: Final = (
    *("type", "parent", "parameters", "edits", "samples", "pin", "attempt", "attempts", "claim"),
    *("status", "started_at", "ended_at"),
)
"""The fields of a task that its attempts are told from."""


def attempts_of(task: Task) -> Iterator[Document]:
    """Those that a worker began, with the code each ran; the last one may be at work, or be that of a subtask."""
    shared: Document = {"task": task["_id"], **{key: task[key] for key in ("type", "parent", "parameters", "samples")}}
    shared["edits"] = task.get("edits", [])
    for ended in task["attempts"]:
        yield {
            **shared,
            **_code_of(ended),
            **picked(ended, ("attempt", "worker", "started_at", "ended_at", "outcome")),
        }
    claim, pin = task["claim"], task["pin"]
    if claim is not None and pin is not None and task["attempt"] not in {each["attempt"] for each in task["attempts"]}:
        yield {
            **shared,
            **_code_of(pin),
            "attempt": task["attempt"],
            "worker": claim["worker"],
            "started_at": task["started_at"],
            "ended_at": task["ended_at"],
            "outcome": task["status"],
        }


def _code_of(facts: Mapping[str, Any]) -> Document:
    return {key: facts.get(key) for key in CODE}


def picked(facts: Mapping[str, Any], keys: Iterable[str]) -> Document:
    return {key: facts[key] for key in keys}
