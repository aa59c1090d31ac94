"""What becomes of a waiting task when tasks before it have ended, as a pure function of the documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from lab.records import ENDED, Document, Task, TaskStatus, now

_FAILED: Final = (TaskStatus.ERROR, TaskStatus.CANCELLED)


class Step(NamedTuple):
    """The status a waiting task takes, and the other fields that change with it."""

    status: TaskStatus
    fields: Document


def next_step(task: Task, tasks: Mapping[str, Task], on_failure: str) -> Step | None:
    """None while it has to wait. ``tasks`` are all of its experiment, by id; ``on_failure`` is as submitted."""
    previous = [tasks[name] for name in task["previous"]]
    failed = next((each for each in previous if each["status"] in _FAILED), None)
    if failed is None:
        return _go(task) if all(each["status"] == TaskStatus.COMPLETED for each in previous) else None
    if on_failure != "continue":
        return _cancel(failed)
    if any(each["status"] not in ENDED for each in previous):
        return None
    lost = _lost(task, tasks)
    left = [sample for sample in task["samples"] if sample not in lost]
    if not left or all(each["status"] in _FAILED for each in previous):
        return _cancel(failed)
    return _go(task) if left == task["samples"] else _go_without(task, failed, left)


def _cancel(failed: Task) -> Step:
    reason = f"Task {failed['_id']}, which comes before it, ended in {failed['status']}."
    return Step(TaskStatus.CANCELLED, {"reason": reason, "ended_at": now()})


def _go(task: Task) -> Step:
    """Its turn has come; one that is to be skipped has ended with that."""
    if (actor := task.get("skip")) is not None:
        return Step(TaskStatus.COMPLETED, {"reason": None, "note": skipped_by(actor), "ended_at": now()})
    return Step(TaskStatus.READY, {"reason": None, "ready_at": now()})


def _go_without(task: Task, failed: Task, left: list[str]) -> Step:
    status, fields = _go(task)
    missing = len(task["samples"]) - len(left)
    count = "one of its samples" if missing == 1 else f"{missing} of its samples"
    note = f"Goes on without {count}: task {failed['_id']}, which comes before it, ended in {failed['status']}."
    # Other samples are other work: what was found when it was examined with all of them does not count.
    return Step(status, {"note": note, "samples": left, "planned": task["samples"], "examined": None, **fields})


def _lost(task: Task, tasks: Mapping[str, Task]) -> set[str]:
    """The samples that a failed task before it had, or that went missing on the way."""
    lost: set[str] = set()
    for each in _before(task, tasks):
        planned = set(each.get("planned") or each["samples"])
        lost |= planned if each["status"] in _FAILED else planned - set(each["samples"])
    return lost


def _before(task: Task, tasks: Mapping[str, Task]) -> Iterator[Task]:
    """All tasks that come before it, however far."""
    seen: set[str] = set()
    coming = list(task["previous"])
    while coming:
        name = coming.pop()
        if name not in seen:
            seen.add(name)
            coming += tasks[name]["previous"]
            yield tasks[name]


def skipped_by(actor: str) -> str:
    return f"Skipped by {actor}."
