"""Samples, where they are found and how they leave: by name or id, and out of the places that a task holds."""

from __future__ import annotations

from typing import Final

from pymongo.errors import DuplicateKeyError

from lab.records import HandStep, Records, Sample, now
from lab.refusals import ConflictError, NotFoundError

_SHOWN: Final = 5


def find_sample(records: Records, name: str) -> Sample:
    """The sample with that name or id. Raises NotFoundError, and ConflictError when several have the name."""
    found = list(records.samples.find({"$or": [{"_id": name}, {"name": name}]}, sort=[("_id", -1)]))
    if not found:
        raise NotFoundError(f"There is no sample {name!r}; `lab samples` lists them.")
    if len(found) > 1:
        raise ConflictError(f"{len(found)} samples are called {name!r}; name one by its id: {_apart(records, found)}.")
    return found[0]


def _apart(records: Records, samples: list[Sample]) -> str:
    """What tells samples of one name from each other, for people; of the first few only."""
    shown = samples[:_SHOWN]
    of_these = {"_id": {"$in": [sample["experiment"] for sample in shown]}}
    names = {each["_id"]: each["name"] for each in records.experiments.find(of_these, {"name": 1})}
    told = ", ".join(
        f"{sample['_id']} (experiment {names.get(sample['experiment'], sample['experiment'])}, "
        f"{sample['position'] or 'in no position'})"
        for sample in shown
    )
    return told if len(samples) == len(shown) else f"{told} and {len(samples) - len(shown)} older ones"


def samples_left(records: Records, task: str) -> list[Sample]:
    """The samples that stand in places which a task holds."""
    places = [place["_id"] for place in records.positions.find({"holder": task}, {"_id": 1})]
    return list(records.samples.find({"position": {"$in": places}}, sort=[("_id", 1)])) if places else []


def leaves_samples(records: Records, task: str, clean_up: str) -> bool:
    """Whether a person has to take samples out before what a task holds is released; ``clean_up`` is its policy."""
    return clean_up == "ask" and bool(samples_left(records, task))


def told(samples: list[Sample]) -> str:
    """Which samples stand where, for people."""
    return ", ".join(f"{sample['name']} from {sample['position']}" for sample in samples)


def take_out(records: Records, samples: list[Sample], task: str, attempt: int, actor: str) -> None:
    """Record that ``actor`` took samples out of the laboratory on behalf of a task.

    One that was moved meanwhile is left alone, so that this may be repeated.
    """
    for sample in samples:
        move_by_hand(records, sample, HandStep(position=None, at=now(), actor=actor, task=task, attempt=attempt))


def move_by_hand(records: Records, sample: Sample, step: HandStep) -> bool:
    """Record that a person moved a sample; False when it was moved meanwhile.

    Raises ConflictError when the place holds another sample.
    """
    unmoved = {"_id": sample["_id"], "position": sample["position"]}
    change = {"$set": {"position": step["position"]}, "$push": {"history": step}}
    try:
        return bool(records.samples.update_one(unmoved, change).modified_count)
    except DuplicateKeyError:
        raise ConflictError(f"{step['position']} holds another sample already; take that one out first.") from None


def undo_move(records: Records, sample: Sample, step: HandStep) -> None:
    """Have a sample stand where it stood before ``move_by_hand``, as if it had not been moved."""
    moved = {"_id": sample["_id"], "position": step["position"]}
    records.samples.update_one(moved, {"$set": {"position": sample["position"]}, "$pop": {"history": 1}})
