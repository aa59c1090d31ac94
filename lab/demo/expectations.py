"""What the story says the final table must show, worked out without asking the laboratory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hotswap.source import GitSource
from hotswap.store import Store
from lab.demo.changes import PACKAGE
from lab.demo.facts import DeviceFacts, GenerationFacts, TaskFacts
from lab.records import DeviceState, TaskStatus


class CodeVersions:
    """Ids of code versions, computed anew from the commits of ``repository`` in a store of our own."""

    def __init__(self, repository: Path, store: Path) -> None:
        self._repository = repository
        self._store = Store(store)

    def of(self, commit: str) -> str:
        with GitSource(self._repository, PACKAGE, commit) as source:
            return self._store.freeze(source).id


class Expectations:
    """Grows with the story: generations that go live, tasks that are submitted, devices that are connected."""

    def __init__(self, versions: CodeVersions) -> None:
        self._versions = versions
        self.generations: dict[str, GenerationFacts] = {}
        self.tasks: dict[str, TaskFacts] = {}
        self.devices: dict[str, DeviceFacts] = {}

    @property
    def newest(self) -> GenerationFacts:
        """The generation that new tasks must be pinned to."""
        return list(self.generations.values())[-1]

    def live(self, commit: str, rolled_back_to: int | None = None) -> GenerationFacts:
        """One more generation, of the code of ``commit``."""
        number = len(self.generations) + 1
        facts = GenerationFacts(number, commit, self._versions.of(commit), rolled_back_to)
        self.generations[str(number)] = facts
        return facts

    def task(self, task_id: str, name: str, kind: str, programs: int = 0) -> None:
        """A task that the newest generation runs to its end, at the first attempt."""
        now = self.newest
        self.tasks[task_id] = TaskFacts(
            name,
            kind,
            TaskStatus.COMPLETED,
            now.number,
            now.commit,
            now.version,
            attempts=(TaskStatus.COMPLETED,),
            programs=programs,
        )

    def lost_once(self, task_id: str) -> None:
        """The task's worker dies at its first attempt; it does all its work again, with the same code."""
        task = self.tasks[task_id]
        self.tasks[task_id] = replace(
            task, attempts=(TaskStatus.LOST, TaskStatus.COMPLETED), programs=2 * task.programs
        )

    def connected(self, devices: Iterable[str]) -> None:
        """The devices are connected with the drivers of the newest generation, for the first time or once more."""
        now = self.newest
        for name in devices:
            before = self.devices.get(name)
            connects = before.connects + 1 if before else 1
            self.devices[name] = DeviceFacts(name, DeviceState.FREE, connects, connects - 1, now.number, now.version)

    def faults(
        self,
        tasks: Mapping[str, TaskFacts],
        devices: Mapping[str, DeviceFacts],
        generations: Mapping[str, GenerationFacts],
    ) -> list[str]:
        """One sentence for each figure of the table that is wrong."""
        return [
            *differences("task", self.tasks, tasks),
            *differences("device", self.devices, devices),
            *differences("generation", self.generations, generations),
        ]

    def retired(self, device: str) -> None:
        """The device is not part of the lab any more."""
        before = self.devices[device]
        self.devices[device] = replace(
            before, state=DeviceState.RETIRED, disconnects=before.connects, generation=None, version=None
        )


def differences(kind: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each figure that is not as expected; both map keys to records of the same dataclass."""
    for key in sorted(expected.keys() - found.keys()):
        yield f"{kind} {key} is missing"
    for key in sorted(found.keys() - expected.keys()):
        yield f"{kind} {key} should not be there"
    for key in sorted(expected.keys() & found.keys()):
        should, is_ = asdict(expected[key]), asdict(found[key])
        for name, value in should.items():
            if is_[name] != value:
                called = should.get("name", key)
                yield f"{kind} {called}: {name} is {is_[name]!r}, it should be {value!r}"
