"""What the resource manager knows: devices, places, samples and open requests as it read them last."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from lab.managers.arrivals import Arrivals
from lab.managers.choice import Situation
from lab.records import ENDED, UNDECIDED, Device, Position, Request, RequestStatus, Task

Rank = tuple[int, int, str]

OPEN: Final = (RequestStatus.PENDING, RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE)

_DEVICE_FACTS: Final = ("state", "paused", "holder", "request", "failed_digest", "error", "group", "typical_hold")
_PLACE_FACTS: Final = ("holder", "request", "device", "prefix")


class Ledger:
    """``occupants`` maps places to samples; ``holdings`` tasks, and ``held_for`` requests, to what they hold.

    ``tasks`` are those of open requests. Nothing in here reads or writes a database.
    """

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.positions: dict[str, Position] = {}
        self.occupants: dict[str, str] = {}
        self.requests: dict[str, Request] = {}
        self.tasks: dict[str, Task] = {}
        self.holdings: defaultdict[str, set[str]] = defaultdict(set)
        self.held_for: defaultdict[str, set[str]] = defaultdict(set)
        self.asked_by: defaultdict[str, set[str]] = defaultdict(set)
        self.handled_by: defaultdict[str, set[str]] = defaultdict(set)
        self._standing: dict[str, str] = {}
        self._crowd: Counter[str] = Counter()
        self._working: set[str] = set()
        self._news: set[str] = set()
        self._arrivals = Arrivals()

    def rank(self, request: Request) -> Rank:
        """Requests are served in this order: by priority, then by age."""
        return (-request["priority"], self.age(request), request["_id"])

    def age(self, request: Request) -> int:
        """The lower was learned of first."""
        return self._arrivals.number(request["_id"])

    def situation(self, reserved: Mapping[str, str] | None = None) -> Situation:
        """The laboratory as it is known just now; it goes on changing with what is learned."""
        return Situation(
            self.devices, self.positions, self.occupants, self._crowd, reserved=reserved or {}, working=self._working
        )

    def is_plain(self, task: str) -> bool:
        """Whether the task comes with empty hands: it holds nothing, and none of its samples stands in a place."""
        return not self.holdings.get(task) and not any(sample in self._standing for sample in self.samples_of(task))

    def samples_of(self, task: str) -> list[str]:
        return self.tasks[task]["samples"] if task in self.tasks else []

    def pending_of(self, task: str) -> list[Request]:
        requests = (self.requests[name] for name in self.asked_by.get(task, ()))
        return [request for request in requests if request["status"] == RequestStatus.PENDING]

    def take_news(self) -> set[str]:
        """The tasks that ask for something else, or have something else, than when this was asked last."""
        taken, self._news = self._news, set()
        return taken

    def holder(self, name: str) -> str | None:
        """The task that holds a device or place."""
        found = self.devices.get(name) or self.positions.get(name)
        return None if found is None else found["holder"]

    def learn_device(self, name: str, device: Device | None) -> bool:
        """Whether anything is new; ``None``: there is no such device any more."""
        before = self.devices.get(name)
        self._hold(name, before, device)
        if device is None:
            self.devices.pop(name, None)
            self._news.update(self.asked_by)
        else:
            self.devices[name] = device
        return before is None or device is None or _device_facts(before) != _device_facts(device)

    def learn_position(self, name: str, position: Position | None) -> bool:
        """Whether anything is new; ``None``: there is no such place any more."""
        before = self.positions.get(name)
        self._hold(name, before, position)
        if name in self.occupants:
            self._count(name, -1)
        if position is None:
            self.positions.pop(name, None)
            self._news.update(self.asked_by)
        else:
            self.positions[name] = position
        if name in self.occupants:
            self._count(name, +1)
        return before is None or position is None or _place_facts(before) != _place_facts(position)

    def learn_sample(self, sample: str, position: str | None) -> list[str]:
        """The places of which something is new: where it stood, and where it stands now."""
        before = self._standing.pop(sample, None)
        if before == position:
            self._standing.update({} if position is None else {sample: position})
            return []
        if before is not None:
            self._count(before, -1)
            del self.occupants[before]
        if position is not None:
            self._stand(sample, position)
            self._news |= self.handled_by.get(sample, set())
        return [place for place in (before, position) if place is not None]

    def standing(self) -> set[str]:
        """The samples that stand in a place."""
        return set(self._standing)

    def learn_task(self, task: Task) -> bool:
        """Whether anything is new."""
        name = task["_id"]
        before = self.tasks.get(name)
        self.forget_task(name)
        self.tasks[name] = task
        self._news.add(name)
        for sample in task["samples"]:
            self.handled_by[sample].add(name)
        if task["status"] not in (*UNDECIDED, *ENDED):
            self._working.add(name)
        return before is None or any(before[key] != task[key] for key in ("status", "attempt", "samples"))

    def forget_task(self, name: str) -> None:
        for sample in self.samples_of(name):
            _discard(self.handled_by, sample, name)
            self._news |= self.handled_by.get(sample, set())  # it is left to these alone
        self.tasks.pop(name, None)
        self._working.discard(name)

    def learn_request(self, request: Request) -> None:
        """An open one; of its task nothing need be known yet. Of several that are new, the oldest comes first."""
        self._arrivals.number(request["_id"])
        self.requests[request["_id"]] = request
        self._news.add(request["task"])
        self.asked_by[request["task"]].add(request["_id"])

    def forget_request(self, name: str) -> None:
        request = self.requests.pop(name, None)
        self._arrivals.forget(name)
        if request is not None:
            self._news.add(request["task"])
            _discard(self.asked_by, request["task"], name)
            if request["task"] not in self.asked_by:
                self.forget_task(request["task"])

    def _stand(self, sample: str, position: str) -> None:
        other = self.occupants.get(position)
        if other is None:
            self._count(position, +1)
        else:
            del self._standing[other]  # it has left; its own document, which says where to, is read next
        self._standing[sample] = position
        self.occupants[position] = sample

    def _count(self, position: str, change: int) -> None:
        place = self.positions.get(position)
        if place is not None and place["device"] is not None:
            self._crowd[place["device"]] += change

    def _hold(self, name: str, before: Device | Position | None, after: Device | Position | None) -> None:
        for document, change in ((before, _discard), (after, _add)):
            if document is not None and document["holder"] is not None:
                change(self.holdings, document["holder"], name)
                self._news.add(document["holder"])
            if document is not None and document["request"] is not None:
                change(self.held_for, document["request"], name)


def _device_facts(device: Device) -> list[Any]:
    binding = device["binding"]
    return [*(device.get(key) for key in _DEVICE_FACTS), None if binding is None else binding["digest"]]


def _place_facts(position: Position) -> list[Any]:
    return [position[key] for key in _PLACE_FACTS]


def _add(index: defaultdict[str, set[str]], key: str, value: str) -> None:
    index[key].add(value)


def _discard(index: defaultdict[str, set[str]], key: str, value: str) -> None:
    index[key].discard(value)
    if not index[key]:
        del index[key]
