"""Who waits for whom: what a pending request could use, and the tasks that have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lab.catalog import Definitions
from lab.managers.ledger import Ledger
from lab.records import Request, Want

Define = Callable[[str], Definitions | None]
"""The definitions of a snapshot; None when it was never described."""


@dataclass(frozen=True)
class Blocker:
    """A device or place that a request could use, and a task that has it: as its holder, or by a sample in it."""

    name: str
    task: str
    sample: str | None = None

    def __str__(self) -> str:
        held = "held by" if self.sample is None else f"where sample {self.sample} stands, which belongs to"
        return f"{self.name}, {held} task {self.task}"


class Waits:
    """Looks into the ledger; nothing is kept."""

    def __init__(self, ledger: Ledger, define: Define) -> None:
        self._ledger = ledger
        self._define = define

    def blockers(self, request: Request) -> Iterator[Blocker]:
        """What other tasks have of all that the request could use, some of which it may not need."""
        for name in self.candidates(request):
            yield from self._blockers_of(name, request)

    def candidates(self, request: Request) -> Iterator[str]:
        """The devices and places that the request could use, also those that it may not need."""
        definitions = self._define(request["snapshot"])
        if definitions is None:
            return
        for want in request["wants"]:
            devices = devices_for(want, definitions)
            yield from devices
            for prefix in want["positions"]:
                yield from places_for(prefix, devices, self._ledger, definitions)

    def needed_by(self, names: frozenset[str], kept: Callable[[Request], Iterator[frozenset[str]]]) -> set[str]:
        """The tasks that have to go on before all of ``names`` is free, also those that these wait for in their turn.

        ``kept`` gives what is kept from a request for others.
        """
        found: set[str] = set()
        new = self._holders(names)
        while new:
            found |= new
            new = {task for each in new for task in self._awaited_by(each, kept)} - found
        return found

    def _awaited_by(self, task: str, kept: Callable[[Request], Iterator[frozenset[str]]]) -> Iterator[str]:
        for request in self._ledger.pending_of(task):
            yield from (blocker.task for blocker in self.blockers(request))
            usable = set(self.candidates(request))
            for names in kept(request):
                if not usable.isdisjoint(names):
                    yield from self._holders(names)

    def _holders(self, names: frozenset[str]) -> set[str]:
        return {holder for name in names if (holder := self._ledger.holder(name)) is not None}

    def _blockers_of(self, name: str, request: Request) -> Iterator[Blocker]:
        holder = self._ledger.holder(name)
        if holder is not None and holder != request["task"]:
            yield Blocker(name, holder)
        sample = self._ledger.occupants.get(name)
        if sample is not None:
            handlers = self._ledger.handled_by.get(sample, set())
            if request["task"] not in handlers:
                yield from (Blocker(name, task, sample) for task in sorted(handlers) if task != holder)


def devices_for(want: Want, definitions: Definitions) -> list[str]:
    """The devices that a want names, by themselves or by their class."""
    name = want["name"] or ""
    if want["kind"] == "none":
        return []
    return [name] if want["kind"] == "device" else definitions.devices_of_class(name)


def places_for(prefix: str, devices: list[str], ledger: Ledger, definitions: Definitions) -> list[str]:
    """The places that a prefix means, on any of the devices or, without any, standing alone."""
    if prefix in ledger.positions:
        return [prefix]
    if not devices:
        return [name for each, name in definitions.standalone_positions() if each == prefix]
    known = [device for device in devices if device in definitions.devices]
    return [name for device in known for each, name in definitions.device_positions(device) if each == prefix]
