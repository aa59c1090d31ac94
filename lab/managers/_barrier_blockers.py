"""What a barrier waits for before it disconnects anything: work, whatever it holds, and devices in motion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from lab.managers.barrier_gate import BarrierStep
from lab.prompts import Prompt, Prompts
from lab.records import (
    CLAIMED,
    UNDECIDED,
    DeviceState,
    Document,
    HandOverStep,
    Records,
    RequestStatus,
    Task,
    TaskStatus,
)

AT_WORK: Final = (TaskStatus.INITIATED, *CLAIMED, TaskStatus.FINISHING)
"""Sent to a worker or in its hands; what waits, for resources or for a person, is among them."""

_OPEN: Final = (RequestStatus.PENDING, RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE)


def holders(records: Records) -> frozenset[str]:
    """The tasks that hold a device or a place, or ask for one; those that were LOST or are retried are among them."""
    held: dict[str, Any] = {"holder": {"$ne": None}}
    found = {*records.devices.distinct("holder", held), *records.positions.distinct("holder", held)}
    return frozenset(found | set(records.requests.distinct("task", {"status": {"$in": list(_OPEN)}})))


def at_work(records: Records) -> frozenset[str]:
    """The tasks that run, or are about to, and those that hold something."""
    holding = holders(records)  # first: who lets go of something is at work until it has ended
    sent = records.tasks.find({"status": {"$in": list(AT_WORK)}, "parent": None}, {"_id": 1})
    return holding | {task["_id"] for task in sent}


def blockers(records: Records) -> list[Document]:
    """Each as ``{task, type, what, since}``; of a device that no task holds the name stands in ``device``."""
    names = at_work(records)
    tasks = {task["_id"]: task for task in records.tasks.find({"_id": {"$in": sorted(names)}})}
    held = _held(records)
    waits = {each["task"]: each["waits_for"] for each in records.requests.find({"status": RequestStatus.PENDING})}
    asked = {each["task"]: each for each in Prompts(records).pending()}
    return [
        *(_blocker(name, tasks.get(name), held[name], waits, asked.get(name)) for name in sorted(names)),
        *_changing(records),
    ]


def in_words(blocker: Document) -> str:
    """One blocker, for people."""
    since = f" since {blocker['since']:%Y-%m-%d %H:%M:%S} UTC" if blocker["since"] else ""
    name = f"{blocker['type']} {blocker['task'] or blocker['device']}".strip()
    return f"{name} {blocker['what']}{since}"


def moving(devices: dict[str, str]) -> list[Document]:
    """The blockers that devices are which nobody holds: name -> what they do."""
    return [
        {"task": None, "device": name, "type": "", "what": what, "since": None}
        for name, what in sorted(devices.items())
    ]


def _blocker(
    name: str, task: Task | None, held: list[str], waits: dict[str, str | None], prompt: Prompt | None
) -> Document:
    kind, status = (task["type"], task["status"]) if task else ("", "gone")
    holding = f", holding {', '.join(sorted(held))}" if held else ""
    if name in waits:
        what = f"waits for resources ({waits[name] or 'not decided yet'})"
    elif status in UNDECIDED:
        what = f"is {status}; retry or cancel it"
    elif prompt is not None:
        what = f"waits for a person ({prompt['text']} `lab answer {prompt['_id']}`)"
    else:
        what = f"is {status}"
    told = f" and says: {task['message']}" if task and task.get("message") and status in CLAIMED else ""
    return {
        "task": name,
        "type": kind,
        "what": what + holding + told,
        "since": task.get("started_at") if task else None,
    }


def _held(records: Records) -> defaultdict[str, list[str]]:
    held: defaultdict[str, list[str]] = defaultdict(list)
    for name in ("devices", "positions"):
        for each in records.database[name].find({"holder": {"$ne": None}}, {"holder": 1}):
            held[each["holder"]].append(each["_id"])
    return held


def _changing(records: Records) -> Iterator[Document]:
    """Devices that get another driver for a request, or that were stopped on their way to one."""
    busy = {
        "state": DeviceState.REBINDING,
        "holder": None,
        "hand_over.step": {"$ne": HandOverStep.APART},
        "stopped": {"$ne": True},
    }
    for device in records.devices.find(busy, {"_id": 1}):
        yield from moving({device["_id"]: "changes its driver"})


def said(document: Document) -> str:
    """What a barrier waits for, for people: at most three of the blockers by name."""
    found = [in_words(each) for each in document.get("blockers", [])]
    step = BarrierStep(document["step"])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more if found else f"step {step.number}, {step}"
