"""The gate for queued work: what new code does not take is named, and refused, held or kept on the code it fits."""

from __future__ import annotations

import logging
from typing import Final, Literal

from hotswap.errors import DescribeError, HotswapError
from hotswap.generations import Generation, Generations
from lab.managers.examination import QUEUED, Examiner
from lab.records import Document, Records, pin_to

Policy = Literal["refuse", "hold", "keep"]

log = logging.getLogger(__name__)

_FIELDS: Final = ("type", "parameters", "samples")


class QueueGate:
    """``policy`` is ``[policy] queued`` of lab.toml; a roll back is never refused, so ``refuse`` is as ``hold``."""

    def __init__(self, records: Records, examiner: Examiner, policy: Policy) -> None:
        self._records = records
        self._examiner = examiner
        self._policy = policy
        self._generations = Generations(records.database)

    def unfit(self, snapshot: str) -> list[Document]:
        """The queued tasks that the code does not take, as ``{task, type, field, reason}``; nothing is written down."""
        tasks = list(self._records.tasks.find(QUEUED, dict.fromkeys(_FIELDS, 1), sort=[("_id", 1)]))
        objections = self._examiner.objections(snapshot, tasks)
        return [
            {"task": task["_id"], "type": task["type"], **objections[task["_id"]]}
            for task in tasks
            if task["_id"] in objections
        ]

    def note(self, snapshot: str) -> None:
        """Before the snapshot goes live: examine what is queued by now, so that dispatch knows what to hold."""
        self._note(snapshot, QUEUED)

    def note_known(self, snapshot: str) -> None:
        """As ``note``, for a roll back: what cannot be examined now is examined when it is dispatched.

        Raises UnreachableError.
        """
        try:
            self.note(snapshot)
        except DescribeError as error:
            log.warning("The queued tasks are not examined before the roll back: %s", error)

    def settle(self, generation: Generation) -> None:
        """Once it is current: pin what it does not take to the code before, if that is the policy; safe to repeat."""
        if self._policy != "keep" or generation.number == 1:
            return
        before = self._generations.get(generation.number - 1)
        if before.snapshot == generation.snapshot:
            return
        self._note_late(generation.snapshot)
        pin = pin_to(before)
        unfit = {**QUEUED, "examined.snapshot": generation.snapshot, "examined.reason": {"$ne": None}}
        for task in list(self._records.tasks.find(unfit, {"_id": 1})):
            kept = self._records.tasks.update_one({**unfit, "_id": task["_id"]}, {"$set": {"pin": pin, "reason": None}})
            if kept.modified_count:
                self._records.log("task.kept", task["_id"], snapshot=before.snapshot, generation=before.number)
        self._generations.states.need(before.snapshot)

    def _note_late(self, snapshot: str) -> None:
        """Examine what was queued since: a barrier may have taken hours."""
        try:
            self._note(snapshot, {**QUEUED, "examined.snapshot": {"$ne": snapshot}})
        except HotswapError as error:  # it is live; what does not fit is held at its dispatch
            log.warning("What was queued last is not examined before it is dispatched: %s", error)

    def _note(self, snapshot: str, queued: Document) -> None:
        tasks = list(self._records.tasks.find(queued, dict.fromkeys(_FIELDS, 1)))
        self._examiner.note(snapshot, tasks, self._examiner.objections(snapshot, tasks))
