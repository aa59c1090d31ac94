"""Tasks that are taken from their worker, because it is dead, was killed with them, or does not give them back."""

from __future__ import annotations

from lab.records import CLAIMED, ENDED, Document, Records, RequestStatus, Task, TaskStatus, ended_attempt, now


def take(records: Records, task: Task, outcome: TaskStatus, fields: Document, reason: str) -> bool:
    """End the attempt at a task with ``outcome``, and set ``fields``, a new status among them.

    It keeps its pin and what it holds. Its subtasks end for ``reason``, and what it still asks for is withdrawn.
    Whether it was still claimed; otherwise nothing is done.
    """
    claim, pin = task["claim"], task["pin"]
    assert claim is not None
    assert pin is not None
    attempt = ended_attempt(task["attempt"], pin, claim["worker"], task["started_at"], outcome)
    query = {"_id": task["_id"], "status": {"$in": list(CLAIMED)}, "claim.token": claim["token"]}
    change = {"$set": {"claim": None, **fields}, "$push": {"attempts": attempt}}
    if not records.tasks.update_one(query, change).modified_count:
        return False
    _end_subtasks(records, task["_id"], reason)
    unanswered = {"task": task["_id"], "status": RequestStatus.PENDING}
    records.requests.update_many(unanswered, {"$set": {"status": RequestStatus.CANCELLED}})
    return True


def _end_subtasks(records: Records, parent: str, reason: str) -> None:
    for subtask in records.tasks.find({"parent": parent, "status": {"$nin": list(ENDED)}}, {"_id": 1}):
        _end_subtasks(records, subtask["_id"], reason)
        fields = {"status": TaskStatus.CANCELLED, "reason": reason, "ended_at": now()}
        records.tasks.update_one({"_id": subtask["_id"], "status": {"$nin": list(ENDED)}}, {"$set": fields})
