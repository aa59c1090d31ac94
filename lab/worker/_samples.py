"""Where the samples of a task are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import DuplicateKeyError

from lab.errors import SampleError
from lab.patience import patiently
from lab.plain import to_record
from lab.records import Pin, Records, Sample, Step, now
from lab.samples import samples_left, take_out


@dataclass(frozen=True)
class SeenSample:
    """A sample as it was when it was asked for."""

    id: str
    name: str
    position: str | None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


class Samples:
    """The samples of one task or subtask, by name or id.

    ``holder`` is the task that holds places for it; its attempt and pin are noted with each move.
    """

    def __init__(self, records: Records, ids: list[str], holder: str, attempt: int, pin: Pin) -> None:
        self._records = records
        self._holder = holder
        self._attempt = attempt
        self._pin = pin
        found = {sample["_id"]: sample for sample in records.samples.find({"_id": {"$in": ids}})}
        self._names = {each: found[each]["name"] for each in ids if each in found}

    @property
    def names(self) -> list[str]:
        return list(self._names.values())

    def ids(self, samples: list[str]) -> list[str]:
        return [self._id(sample) for sample in samples]

    def get(self, sample: str) -> SeenSample:
        """Raises SampleError when the task has no such sample."""
        document = self._read(sample)
        return SeenSample(
            document["_id"], document["name"], document["position"], document["tags"], document["metadata"]
        )

    def move(self, sample: str, position: str | None) -> None:
        """Raises SampleError when the place is not held by the task, or is occupied."""
        document = self._read(sample)
        before = document["position"]
        if before == position:
            return
        self._check_source(sample, before)
        if position is not None:
            self._check_destination(sample, position)
        if not patiently(lambda: self._write(document, position)):
            raise SampleError(f"Sample {sample} was moved by somebody else meanwhile; look where it is now.")

    def annotate(self, sample: str, metadata: Mapping[str, Any]) -> None:
        """Add to the metadata of a sample. Raises SampleError for a name that cannot be one there."""
        wanted, plain = self._id(sample), to_record(dict(metadata), f"The metadata of sample {sample}")
        for name in plain:
            if not name or "." in name or name.startswith("$"):
                raise SampleError(f"{name!r} cannot name metadata of sample {sample}; leave out '.' and a leading '$'.")
        if plain:
            change = {"$set": {f"metadata.{name}": value for name, value in plain.items()}}
            patiently(lambda: self._records.samples.update_one({"_id": wanted}, change))

    def held(self) -> list[str]:
        """The places that the task holds."""
        mine = {"holder": self._holder}
        return sorted(place["_id"] for place in patiently(lambda: list(self._records.positions.find(mine, {"_id": 1}))))

    def left(self) -> list[Sample]:
        """The samples that stand in those places."""
        return patiently(lambda: samples_left(self._records, self._holder))

    def take_out(self, samples: list[Sample], actor: str) -> None:
        """Record that a person took samples out of the laboratory."""
        patiently(lambda: take_out(self._records, samples, self._holder, self._attempt, actor))

    def device_of(self, position: str) -> str | None:
        """Raises SampleError when there is no such place."""
        place = self._place(position)
        if place is None:
            raise SampleError(f"There is no place {position}; it is written like furnace_1/slot/2 or table/3.")
        device: str | None = place["device"]
        return device

    def _write(self, document: Sample, position: str | None) -> bool:
        step = Step(**self._pin, position=position, at=now(), task=self._holder, attempt=self._attempt)
        change = {"$set": {"position": position}, "$push": {"history": step}}
        unmoved = {"_id": document["_id"], "position": document["position"]}
        try:
            moved = bool(self._records.samples.update_one(unmoved, change).modified_count)
        except DuplicateKeyError:
            raise SampleError(f"{position} already holds another sample; {document['name']} was not moved.") from None
        # The sample decides, not the answer to the write: that may have been lost on the way, and this be the next try.
        return moved or self._records.samples.find_one({"_id": document["_id"], "position": position}) is not None

    def _check_source(self, sample: str, position: str | None) -> None:
        place = None if position is None else self._place(position)
        if place is not None and place["holder"] not in (None, self._holder):
            raise SampleError(f"Sample {sample} is in {position}, which is held by another task; it was not moved.")

    def _check_destination(self, sample: str, position: str) -> None:
        place = self._place(position)
        if place is None:
            raise SampleError(f"There is no place {position}; sample {sample} was not moved.")
        if place["holder"] != self._holder:
            raise SampleError(f"{position} is not held by this task; request it before moving sample {sample} there.")

    def _place(self, position: str) -> Any:
        return patiently(lambda: self._records.positions.find_one({"_id": position}))

    def _read(self, sample: str) -> Sample:
        wanted = self._id(sample)
        document = patiently(lambda: self._records.samples.find_one({"_id": wanted}))
        if document is None:
            raise SampleError(f"Sample {sample} is not in the database any more.")
        return document

    def _id(self, sample: str) -> str:
        matches = [each for each, name in self._names.items() if sample in (each, name)]
        if not matches:
            raise SampleError(f"This task has no sample {sample!r}; it has {', '.join(self.names) or 'none'}.")
        return matches[0]
