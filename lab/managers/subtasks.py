"""What becomes of the parts of a task that nobody goes on with."""

from __future__ import annotations

from lab.records import ENDED, Records, TaskStatus, now


def end_subtasks(records: Records, parent: str, reason: str) -> None:
    """End what a task began inside it that has not ended: nobody goes on with it."""
    for subtask in records.tasks.find({"parent": parent, "status": {"$nin": list(ENDED)}}, {"_id": 1}):
        end_subtasks(records, subtask["_id"], reason)
        fields = {"status": TaskStatus.CANCELLED, "reason": reason, "ended_at": now()}
        records.tasks.update_one({"_id": subtask["_id"], "status": {"$nin": list(ENDED)}}, {"$set": fields})
