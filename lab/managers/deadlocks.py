"""Tasks that hold something and wait for each other, so that none of them can ever go on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from lab.managers.choice import Choice, Situation, choose
from lab.managers.ledger import Ledger
from lab.managers.waits import Blocker, Define, Waits
from lab.records import Device, DeviceState, Position, Request


@dataclass(frozen=True)
class Deadlock:
    """``tasks`` wait for each other in a circle, by their pending ``requests``; ``words`` tells each request's part."""

    tasks: tuple[str, ...]
    requests: tuple[Request, ...]
    words: Mapping[str, str]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from others: the same tasks may come to wait for each other again, by other requests."""
        return tuple(sorted(request["_id"] for request in self.requests))

    @property
    def youngest(self) -> Request:
        """The request that came last."""
        return max(self.requests, key=lambda request: (request["created_at"], request["_id"]))


class DeadlockFinder:
    """Looks for deadlocks in a ledger.

    ``at_work(samples)`` gives those of the samples that a task may still move which waits for nothing; it is asked only
    when there seems to be a deadlock.
    """

    def __init__(self, ledger: Ledger, define: Define, at_work: Callable[[Collection[str]], Collection[str]]) -> None:
        self._ledger = ledger
        self._define = define
        self._at_work = at_work
        self._waits = Waits(ledger, define)

    def find(self) -> list[Deadlock]:
        """All there are just now. Paused devices and the like are no deadlock: they come back when somebody wants."""
        stuck = self._stuck(frozenset())
        if stuck:
            standing = [sample for sample in self._ledger.standing() if self._ledger.handled_by.get(sample)]
            movable = self._at_work(standing) if standing else ()
            stuck = self._stuck(frozenset(movable)) if movable else stuck
        return [self._describe(circle) for circle in _circles(self._edges(stuck))]

    def _stuck(self, movable: frozenset[str]) -> dict[str, list[Request]]:
        """Waiting tasks, without those that can go on once others that can go on have given back what they hold."""
        waiting = {task: requests for task in self._possessors() if (requests := self._ledger.pending_of(task))}
        while len(waiting) > 1:
            free = [task for task, requests in waiting.items() if self._can_go_on(task, requests, waiting, movable)]
            if not free:
                return waiting
            for task in free:
                del waiting[task]
        return {}

    def _possessors(self) -> list[str]:
        handling = {task for sample in self._ledger.standing() for task in self._ledger.handled_by.get(sample, ())}
        return sorted(handling.union(self._ledger.holdings))

    def _can_go_on(
        self, task: str, requests: Iterable[Request], waiting: Collection[str], movable: frozenset[str]
    ) -> bool:
        situation = self._best_case(task, waiting, movable)
        return any(self._is_granted(request, situation) for request in requests)

    def _is_granted(self, request: Request, situation: Situation) -> bool:
        definitions = self._define(request["snapshot"])
        if definitions is None:
            return True  # it is refused, which ends the wait as well
        decision = choose(request, self._ledger.samples_of(request["task"]), situation, definitions)
        return isinstance(decision, Choice) or bool(decision.rebind) or decision.hopeless

    def _best_case(self, task: str, waiting: Collection[str], movable: frozenset[str]) -> Situation:
        """As ``task`` would find it if all had ended that are not waiting, and every device were in order."""
        others = {each for each in waiting if each != task}
        occupants = {
            place: sample
            for place, sample in self._ledger.occupants.items()
            if sample not in movable and self._is_left(sample, others)
        }
        devices = {name: _freed(device, others) for name, device in self._ledger.devices.items()}
        places = {name: _freed_place(place, others) for name, place in self._ledger.positions.items()}
        return replace(self._ledger.situation(), devices=devices, positions=places, occupants=occupants, working=())

    def _is_left(self, sample: str, waiting: set[str]) -> bool:
        handlers = self._ledger.handled_by.get(sample, set())
        return bool(handlers) and handlers <= waiting

    def _edges(self, stuck: Mapping[str, list[Request]]) -> dict[str, dict[str, tuple[Request, Blocker]]]:
        """Task -> the tasks it waits for, and by what."""
        return {
            task: {
                blocker.task: (request, blocker)
                for request in requests
                for blocker in self._waits.blockers(request)
                if blocker.task in stuck
            }
            for task, requests in stuck.items()
        }

    def _describe(self, circle: Mapping[str, Mapping[str, tuple[Request, Blocker]]]) -> Deadlock:
        requests = {request["_id"]: request for edges in circle.values() for request, _ in edges.values()}
        words = {name: _words(request, circle) for name, request in requests.items()}
        return Deadlock(tuple(sorted(circle)), tuple(requests.values()), words)


def _freed(device: Device, holders: set[str]) -> Device:
    if device["holder"] in holders:
        return device
    return {
        **device,
        "state": DeviceState.FREE,
        "holder": None,
        "request": None,
        "paused": False,
        "failed_digest": None,
    }


def _freed_place(place: Position, holders: set[str]) -> Position:
    return place if place["holder"] in holders else {**place, "holder": None, "request": None}


_Edges = Mapping[str, Mapping[str, tuple[Request, Blocker]]]


def _circles(edges: _Edges) -> list[_Edges]:
    """The groups of tasks of which each waits, directly or not, for each other; with the edges inside."""
    reached = {task: _reachable(task, edges) for task in edges}
    groups = {frozenset(other for other in reached[task] if task in reached[other]) for task in edges}
    return [
        {task: {to: edge for to, edge in edges[task].items() if to in group} for task in sorted(group)}
        for group in sorted(groups, key=sorted)
        if group
    ]


def _reachable(task: str, edges: _Edges) -> set[str]:
    found: set[str] = set()
    new = set(edges[task])
    while new:
        found |= new
        new = {to for each in new for to in edges[each]} - found
    return found


def _words(request: Request, circle: _Edges) -> str:
    """The shortest way from a request back to its own task."""
    mine = request["task"]
    first = [blocker for asked, blocker in circle[mine].values() if asked["_id"] == request["_id"]]
    paths = [[blocker] for blocker in first]
    seen: set[str] = set()
    for path in paths:
        at = path[-1].task
        for to, (_, blocker) in circle[at].items():
            if to == mine:
                return f"This is a deadlock: it waits for {', which waits for '.join(map(str, path))}, " + _closing(
                    blocker
                )
            if to not in seen:
                seen.add(to)
                paths.append([*path, blocker])
    return "This is a deadlock."


def _closing(blocker: Blocker) -> str:
    held = "held by this task" if blocker.sample is None else f"where sample {blocker.sample} of this task stands"
    return f"which waits for {blocker.name}, {held}."
