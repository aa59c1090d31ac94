"""What people may do to samples: record that they moved one by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lab.records import ENDED, UNDECIDED, HandStep, Position, Records, Sample, Task, TaskStatus, now
from lab.refusals import ConflictError, NotFoundError
from lab.samples import find_sample, move_by_hand, undo_move

_STOPPED: Final = (*UNDECIDED, TaskStatus.FINISHING, *ENDED)
"""A task in one of these moves nothing itself."""


class HandMoves:
    """``wake`` follows each change."""

    def __init__(self, records: Records, wake: Callable[[], None]) -> None:
        self._records = records
        self._wake = wake

    def move(self, name: str, position: str | None, actor: str) -> Sample:
        """Record that a sample, by its name or id, stands in another place, or with None outside the laboratory.

        Raises NotFoundError; ConflictError when the place is occupied, or when it, or the one where the sample
        stands, is in the hands of a task.
        """
        sample = find_sample(self._records, name)
        if sample["position"] == position:
            raise ConflictError(f"Sample {sample['name']} is {_where(position)} already.")
        self._check(sample, position)
        step = HandStep(position=position, at=now(), actor=actor, task=None, attempt=None)
        if not move_by_hand(self._records, sample, step):
            raise ConflictError(f"Sample {sample['name']} was moved meanwhile; look where it is now.")
        try:
            # Who grants or removes a place looks for samples afterwards: one of the two sees what the other has done.
            self._check(sample, position)
        except (ConflictError, NotFoundError):
            undo_move(self._records, sample, step)
            raise
        self._records.log("sample.moved", sample["_id"], actor=actor, before=sample["position"], position=position)
        self._wake()
        return find_sample(self._records, sample["_id"])

    def _check(self, sample: Sample, position: str | None) -> None:
        if sample["position"] is not None:
            self._check_source(sample["position"])
        if position is not None:
            self._check_destination(sample, position)

    def _check_source(self, position: str) -> None:
        """A task that is at work moves what stands in its places itself."""
        place = self._records.positions.find_one({"_id": position})
        holder = None if place is None else self._holder(place)
        if holder is not None and holder["status"] not in _STOPPED:
            raise _held(position, holder)

    def _check_destination(self, sample: Sample, position: str) -> None:
        """What a task left behind may be put right, but nothing of others be put into its places."""
        place = self._records.positions.find_one({"_id": position})
        if place is None:
            raise NotFoundError(f"There is no place {position!r}; `GET /api/positions` lists them.")
        holder = self._holder(place)
        if holder is None:
            return
        if holder["status"] not in _STOPPED or sample["_id"] not in holder["samples"]:
            raise _held(position, holder)

    def _holder(self, place: Position) -> Task | None:
        return None if place["holder"] is None else self._records.tasks.find_one({"_id": place["holder"]})


def _where(position: str | None) -> str:
    return "outside the laboratory" if position is None else f"in {position}"


def _held(position: str, holder: Task) -> ConflictError:
    return ConflictError(
        f"{position} is held by {holder['type']} {holder['_id']}, which is {holder['status']}; cancel that task, or "
        "wait for its end."
    )
