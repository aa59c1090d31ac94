"""What the steps of the story have in common: commit, submit, wait, and keep account of what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from lab.demo.claims import StoryError, claim, wait_for
from lab.demo.events import EventFeed
from lab.demo.expectations import Expectations, differences
from lab.demo.facts import SHORT, programs_started, read_devices
from lab.demo.laboratory import Laboratory
from lab.demo.narration import Narrator
from lab.demo.report import describe
from lab.demo.repository import Change, Commit
from lab.demo.timing import Timing, timing_of
from lab.records import CLAIMED, ENDED, Device, Document, Task, TaskStatus

T = TypeVar("T")
Tasks: TypeAlias = Sequence[tuple[str, Mapping[str, Any]]]


class Stage:
    """A running laboratory, what is expected of it, and what it was seen to do."""

    def __init__(self, lab: Laboratory, narrator: Narrator, expected: Expectations) -> None:
        self.lab = lab
        self.narrator = narrator
        self.expected = expected
        self.names: dict[str, str] = {}
        self.timings: list[Timing] = []
        self.feed = EventFeed(lab.records, narrator, self.names)

    def say(self, sentence: str) -> None:
        """Say it after whatever has happened before."""
        self.feed.catch_up()
        self.narrator.say(sentence)

    def wait(self, what: str, probe: Callable[[], T | None]) -> T:
        return wait_for(what, probe, meanwhile=self.feed.catch_up)

    # -- code --------------------------------------------------------------------------------------------------

    def go_live(self, change: Change) -> Document:
        """Commit a change that must go live; returns the plan of its refresh."""
        timing, refresh = self.commit(change)
        expected = self.expected.live(timing.commit.hash)
        claim(timing.outcome == "live", f"Commit {timing.commit.message!r} ended as {timing.outcome}, not live.")
        claim(timing.generation == expected.number, f"Generation {timing.generation} is live, not {expected.number}.")
        self.say(f"generation {timing.generation} is live {timing.seconds:.2f} s after the commit ({describe(timing)})")
        plan: Document = refresh["plan"]
        return plan

    def commit(self, change: Change) -> tuple[Timing, Document]:
        """Commit a change; returns once its refresh has ended, however that is."""
        commit = self.lab.repository.commit(change)
        self.narrator.say(f"git commit {commit.hash[:SHORT]}: {commit.message}")
        refresh = self.wait(f"the refresh to commit {commit.hash[:SHORT]}", lambda: self._refresh_of(commit))
        self.timings.append(timing_of(commit, refresh))
        return self.timings[-1], refresh

    def _refresh_of(self, commit: Commit) -> Document | None:
        query = {"commit": commit.hash, "outcome": {"$ne": None}}
        return self.lab.records.refreshes.find_one(query, sort=[("_id", 1)])

    # -- tasks -------------------------------------------------------------------------------------------------

    def submit(self, name: str, tasks: Tasks) -> list[str]:
        """Submit an experiment on one sample, its tasks one after the other; returns their ids."""
        experiment = self.lab.submit(experiment_of(name, tasks))
        self.names[experiment] = repr(name)
        document = self.lab.records.experiments.find_one({"_id": experiment})
        assert document is not None, experiment
        for (kind, _), task_id in zip(tasks, document["tasks"], strict=True):
            self.names[task_id] = name if len(tasks) == 1 else f"{name}: {kind}"
            self.expected.task(task_id, self.names[task_id], kind, programs=int(kind == "Heating"))
        return document["tasks"]

    def heat(self, name: str, temperature_c: float, minutes: float, ramp_c_per_minute: float) -> str:
        """Submit a single heating; returns the id of its task."""
        parameters = {"temperature_c": temperature_c, "minutes": minutes, "ramp_c_per_minute": ramp_c_per_minute}
        return self.submit(name, [("Heating", parameters)])[0]

    def task(self, task_id: str) -> Task:
        task = self.lab.records.tasks.find_one({"_id": task_id})
        assert task is not None, task_id
        return task

    def at_work(self, task_id: str) -> Task:
        """The task, which must be in the hands of a worker, pinned as expected."""
        task, expected = self.task(task_id), self.expected.tasks[task_id]
        claim(task["status"] in CLAIMED, f"{expected.name} should be at work, it is {task['status']}.")
        self._check_pin(task)
        return task

    def heats(self, task_id: str) -> Device:
        """Wait until the task has started its program; returns the furnace."""
        self.wait(f"{self.names[task_id]} to start", lambda: programs_started(self.lab.records, task_id) or None)
        self.at_work(task_id)
        furnace = self.lab.records.devices.find_one({"holder": task_id, "type": {"$regex": ":Furnace$"}})
        if furnace is None:
            raise StoryError(f"{self.names[task_id]} heats but holds no furnace.")
        return furnace

    def completed(self, task_id: str) -> Any:
        """Wait for the end of a task, which must be a good one; returns its result."""
        task = self.wait(f"{self.names[task_id]} to end", lambda: self._if(task_id, ENDED))
        reason = task["error"] or task["reason"] or ""
        claim(
            task["status"] == TaskStatus.COMPLETED,
            f"{self.names[task_id]} ended as {task['status']}: {reason.partition(chr(10))[0]}",
        )
        self._check_pin(task)
        return task["result"]

    def lost(self, task_id: str) -> Task:
        """Wait until a task counts as lost; it must keep its pin."""
        task = self.wait(f"{self.names[task_id]} to be LOST", lambda: self._if(task_id, (TaskStatus.LOST,)))
        self._check_pin(task)
        return task

    def _if(self, task_id: str, statuses: Collection[str]) -> Task | None:
        task = self.task(task_id)
        return task if task["status"] in statuses else None

    def _check_pin(self, task: Task) -> None:
        pin, expected = task["pin"], self.expected.tasks[task["_id"]]
        found = (pin["generation"], pin["commit"], pin["snapshot"]) if pin else None
        should = (expected.generation, expected.commit, expected.version)
        claim(found == should, f"{expected.name} is pinned to {found}, it should be {should}.")

    # -- devices -----------------------------------------------------------------------------------------------

    def devices_settle(self, *, but: Collection[str] = ()) -> None:
        """Wait until every device, ``but`` some, is as expected. Raises StoryError naming the first that is not."""
        try:
            self.wait("the devices", lambda: not self._device_faults(but))
        except StoryError as error:
            faults = self._device_faults(but)
            raise StoryError(f"{faults[0]}." if faults else str(error)) from error

    def _device_faults(self, but: Collection[str]) -> list[str]:
        expected = {name: device for name, device in self.expected.devices.items() if name not in but}
        found = {name: device for name, device in read_devices(self.lab.records).items() if name not in but}
        return list(differences("device", expected, found))


def experiment_of(name: str, tasks: Tasks) -> Document:
    """An experiment on one sample: each task after the one before."""
    return {
        "name": name,
        "samples": [{"name": "sample"}],
        "tasks": [
            {
                "type": kind,
                "parameters": dict(parameters),
                "samples": ["sample"],
                "prev_tasks": [number - 1] if number else [],
            }
            for number, (kind, parameters) in enumerate(tasks)
        ],
    }
