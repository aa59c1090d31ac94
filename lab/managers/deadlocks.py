"""Tasks that hold something and wait for each other, so that none of them can ever go on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lab.managers.choice import Choice, Situation, choose
from lab.managers.ledger import Ledger
from lab.managers.waits import Blocker, Define, Waits
from lab.records import Device, DeviceState, Position, Request


@dataclass(frozen=True)
class Deadlock:
    """``tasks`` wait for each other in a circle, by their pending ``requests``, of which the oldest comes first.

    ``words`` tells each request's part.
    """

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
        return self.requests[-1]


class DeadlockFinder:
    """Looks for deadlocks in a ledger, among those tasks of which something is new since it looked last.

    ``at_work(samples)`` gives those of the samples that a task may still move which waits for nothing; it is asked only
    when there seems to be a deadlock.
    """

    def __init__(self, ledger: Ledger, define: Define, at_work: Callable[[Collection[str]], Collection[str]]) -> None:
        self._ledger = ledger
        self._define = define
        self._at_work = at_work
        self._waits = Waits(ledger, define)
        self._suspects: set[str] = set()
        self._stuck_before: set[str] = set()

    def find(self) -> list[Deadlock]:
        """All there are just now. Paused devices and the like are no deadlock: they come back when somebody wants.

        A deadlock that somebody at work may still prevent is looked at again each time, as are those that were found.
        """
        seeming = self._seeming(self._ledger.take_news() | self._suspects)
        circles = _circles(self._edges(seeming))
        self._suspects = {task for circle in circles for task in circle}
        if not circles:
            return []
        samples = {sample for task in seeming for sample in self._ledger.samples_of(task)} & self._ledger.standing()
        movable = frozenset(self._at_work(sorted(samples)) if samples else ())
        if movable:
            circles = _circles(self._edges(self._stuck(self._ahead(seeming), movable)))
        return [self._describe(circle) for circle in circles]

    def _seeming(self, tasks: set[str]) -> set[str]:
        """Those that nothing seems to help, of the tasks, of whom they wait for, and of whom that holds up in turn."""
        ahead = self._ahead(task for task in tasks if not self._ledger.is_plain(task))
        stuck = self._stuck(ahead)
        if not self._stuck_before.isdisjoint(tasks.union(ahead) - stuck):
            self._stuck_before.clear()  # others may go on as well, who only wait for those
        while new := stuck - self._stuck_before:
            self._stuck_before |= new
            ahead = self._ahead([*ahead, *self._held_up_by(new)])
            stuck = self._stuck(ahead)
        return stuck

    def _ahead(self, tasks: Iterable[str]) -> dict[str, set[str]]:
        """Those of the tasks that wait, and whom they wait for and so on: task -> the tasks that it waits for."""
        ahead: dict[str, set[str]] = {}
        agenda = list(tasks)
        while agenda:
            task = agenda.pop()
            if task not in ahead and (requests := self._ledger.pending_of(task)):
                ahead[task] = {blocker.task for request in requests for blocker in self._waits.blockers(request)}
                agenda += ahead[task]
        return ahead

    def _held_up_by(self, tasks: set[str]) -> Iterator[str]:
        """Who has something himself, and waits for one of these."""
        for name in self._ledger.asked_by:
            blockers = (each for request in self._ledger.pending_of(name) for each in self._waits.blockers(request))
            if not self._ledger.is_plain(name) and any(blocker.task in tasks for blocker in blockers):
                yield name

    def _stuck(self, ahead: Mapping[str, set[str]], movable: frozenset[str] = frozenset()) -> set[str]:
        """Waiting tasks, without those that can go on once others that can go on have given back what they hold."""
        waiting = set(ahead)
        behind: defaultdict[str, list[str]] = defaultdict(list)
        for task, others in ahead.items():
            for other in others:
                behind[other].append(task)
        agenda = list(ahead)
        while agenda:
            task = agenda.pop()
            if task in waiting and self._can_go_on(task, waiting, movable):
                waiting.discard(task)
                agenda += behind[task]
        return waiting

    def _can_go_on(self, task: str, waiting: set[str], movable: frozenset[str]) -> bool:
        return any(self._is_granted(request, waiting, movable) for request in self._ledger.pending_of(task))

    def _is_granted(self, request: Request, waiting: set[str], movable: frozenset[str]) -> bool:
        definitions = self._define(request["snapshot"])
        if definitions is None:
            return True  # it is refused, which ends the wait as well
        situation = self._best_case(request, waiting, movable)
        decision = choose(request, self._ledger.samples_of(request["task"]), situation, definitions)
        return isinstance(decision, Choice) or bool(decision.rebind) or decision.hopeless

    def _best_case(self, request: Request, waiting: set[str], movable: frozenset[str]) -> Situation:
        """What it could use, if all tasks had ended that are not waiting, and every device were in order."""
        known = self._ledger
        names = set(self._waits.candidates(request))

        def stays(task: str | None) -> bool:
            return task in waiting and task != request["task"]

        def is_left(sample: str) -> bool:
            handlers = known.handled_by.get(sample)
            return bool(handlers) and sample not in movable and all(map(stays, handlers or ()))

        devices = {name: _freed(known.devices[name], stays) for name in names & known.devices.keys()}
        places = {name: _freed_place(known.positions[name], stays) for name in names & known.positions.keys()}
        occupants = {name: known.occupants[name] for name in names & known.occupants.keys()}
        left = {name: sample for name, sample in occupants.items() if is_left(sample)}
        return replace(known.situation(), devices=devices, positions=places, occupants=left, working=())

    def _edges(self, stuck: set[str]) -> dict[str, dict[str, tuple[Request, Blocker]]]:
        """Task -> the tasks it waits for, and by what."""
        return {
            task: {
                blocker.task: (request, blocker)
                for request in self._ledger.pending_of(task)
                for blocker in self._waits.blockers(request)
                if blocker.task in stuck
            }
            for task in sorted(stuck)
        }

    def _describe(self, circle: Mapping[str, Mapping[str, tuple[Request, Blocker]]]) -> Deadlock:
        requests = {request["_id"]: request for edges in circle.values() for request, _ in edges.values()}
        words = {name: _words(request, circle) for name, request in requests.items()}
        return Deadlock(tuple(sorted(circle)), tuple(sorted(requests.values(), key=self._ledger.age)), words)


def _freed(device: Device, stays: Callable[[str | None], bool]) -> Device:
    if stays(device["holder"]):
        return device
    return {
        **device,
        "state": DeviceState.FREE,
        "holder": None,
        "request": None,
        "paused": False,
        "failed_digest": None,
    }


def _freed_place(place: Position, stays: Callable[[str | None], bool]) -> Position:
    return place if stays(place["holder"]) else {**place, "holder": None, "request": None}


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
