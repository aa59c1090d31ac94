"""Whose turn it is: pending requests in order, of which only those are decided anew that something changed for.

Requests that ask for the same, with the same code and with empty hands, stand in one line. What the first of them has
to wait for, the others wait for, too: a line is looked at from its head, and no further than to the first that waits.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lab.managers.choice import Choice, Lack, choose
from lab.managers.ledger import Ledger, Rank
from lab.managers.waits import Define, Waits
from lab.records import Request, Want

Topic = tuple[str, str]


@dataclass
class _Line:
    topics: frozenset[Topic]
    ranks: list[Rank] = field(default_factory=list)

    def next(self, cursor: Rank | None) -> Rank | None:
        """The first that is not before the cursor."""
        index = 0 if cursor is None else bisect_left(self.ranks, cursor)
        return self.ranks[index] if index < len(self.ranks) else None


@dataclass(frozen=True)
class _Keeper:
    """A waiting request that keeps something."""

    rank: Rank
    request: Request
    lack: Lack


_NOTHING: Final = Lack("")


class Turns:
    """Decides the pending requests of a ledger; ``admits`` says which tasks may be granted anything at all.

    Every change of the ledger is followed by ``changed`` or ``renewed``; `next` tells what is to be done.
    """

    def __init__(self, ledger: Ledger, define: Define, admits: Callable[[str], bool] = lambda _: True) -> None:
        self.waits = Waits(ledger, define)
        self._ledger = ledger
        self._define = define
        self._admits = admits
        self._lines: dict[str, _Line] = {}
        self._line_of: dict[str, str] = {}
        self._by_topic: defaultdict[Topic, set[str]] = defaultdict(set)
        self._bases: defaultdict[str, set[str]] = defaultdict(set)
        self._snapshots: set[str] = set()
        self._keepers: dict[str, _Keeper] = {}
        self._cursors: dict[str, Rank | None] = {}
        self._agenda: list[tuple[Rank, str]] = []
        self._nested: set[str] = set()
        self.stale: dict[str, None] = {}

    def enter(self, request: Request) -> None:
        """A request of the ledger is pending."""
        self._know(request["snapshot"])
        key = self._key(request)
        if key not in self._lines:
            topics = frozenset(_topics(request["wants"]))
            self._lines[key] = _Line(topics)
            for topic in topics:
                self._by_topic[topic].add(key)
        insort(self._lines[key].ranks, self._ledger.rank(request))
        self._line_of[request["_id"]] = key
        self.stale[key] = None
        self._look_at(key, self._ledger.rank(request))
        self._look_at_nested()

    def leave(self, request: Request) -> None:
        """It is not pending any more; harmless when it was not."""
        key = self._line_of.pop(request["_id"], None)
        if key is None:
            return
        self._nested.discard(request["_id"])
        line = self._lines[key]
        del line.ranks[bisect_left(line.ranks, self._ledger.rank(request))]
        self._keep(request, _NOTHING)  # after that: who is looked at then is not the one that leaves
        self._look_at_nested()
        if not line.ranks:
            self._close(key)

    def changed(self, name: str) -> None:
        """A device or place changed: look at all that want it, and at those that keep it for another reason."""
        lines = self._lines_for(name)
        for key in lines:
            self._look_at(key, None)
        self.stale.update(dict.fromkeys(lines))
        self._look_at_keepers_of(frozenset({name}))
        self._look_at_nested()

    def renewed(self, task: str) -> None:
        """What a task holds, its samples or its status changed: its requests may stand in other lines."""
        for request in self._ledger.pending_of(task):
            if request["_id"] in self._line_of:
                self.leave(request)
                self.enter(request)
        self._look_at_keepers_of(frozenset(self._ledger.holdings.get(task, ())))
        self._look_at_nested()

    def look_at_all(self) -> None:
        """Whatever is known of anything may have changed."""
        for key in self._lines:
            self._look_at(key, None)

    def look_at(self, request: Request) -> None:
        """Decide it again, and those behind it."""
        if request["_id"] in self._line_of:
            self._look_at(self._line_of[request["_id"]], self._ledger.rank(request))

    def next(self) -> tuple[Request, Choice | Lack] | None:
        """The next request to look at, and the decision on it; None when no more is to be decided.

        After a choice it has to `leave`; if it could not be granted, the next call goes on behind it.
        """
        while self._agenda:
            position, key = heapq.heappop(self._agenda)
            if key not in self._cursors:
                continue
            following = self._lines[key].next(self._cursors[key])
            if following == position:
                return self._visit(key, position)
            if following is not None and following > position:  # who was to be looked at has left
                heapq.heappush(self._agenda, (following, key))
        return None

    def decide(self, request: Request) -> Choice | Lack:
        """What it is granted or lacks, as things are."""
        definitions = self._define(request["snapshot"])
        if definitions is None:
            return Lack(f"Code version {request['snapshot'][:12]} was never described.", hopeless=True)
        samples = self._ledger.samples_of(request["task"])
        return choose(request, samples, self._ledger.situation(self._reserved(request)), definitions)

    def wanted(self) -> dict[str, str]:
        """Device -> the snapshot whose driver it should have, for the requests that come next, in their order."""
        wanted: dict[str, str] = {}
        for keeper in self._sorted_keepers():
            for name in keeper.lack.rebind:
                wanted.setdefault(name, keeper.request["snapshot"])
        return wanted

    def kept(self) -> dict[str, frozenset[str]]:
        """Request -> what it keeps from those that come later."""
        return {name: keeper.lack.keep for name, keeper in self._keepers.items()}

    def behind(self, key: str, most: int) -> tuple[str, list[Request]]:
        """Why a line waits, and so many of its requests, at most, as have been told otherwise."""
        if key not in self._lines:
            return "", []
        line = self._lines[key]
        reason = self._reason(line)
        found: list[Request] = []
        for each in line.ranks if reason else ():
            request = self._ledger.requests[each[2]]
            if request["waits_for"] != reason and request["_id"] not in self._keepers:
                found.append(request)
                if len(found) == most:
                    break
        return reason, found

    def _reason(self, line: _Line) -> str:
        """As it is now, of the first that keeps nothing; nothing to say of those that are not admitted."""
        first = next((each for each in line.ranks if each[2] not in self._keepers), line.ranks[0])
        request = self._ledger.requests[first[2]]
        decision = self.decide(request) if self._admits(request["task"]) else None
        return decision.reason if isinstance(decision, Lack) else ""

    def _visit(self, key: str, position: Rank) -> tuple[Request, Choice | Lack]:
        request = self._ledger.requests[position[2]]
        if not self._admits(request["task"]):
            self._keep(request, _NOTHING)
            self._go_on(key, _after(position))
            return request, Lack("")
        decision = self.decide(request)
        self._note(key, request, decision)
        return request, decision

    def _note(self, key: str, request: Request, decision: Choice | Lack) -> None:
        behind = _after(self._ledger.rank(request))
        if isinstance(decision, Choice) or decision.hopeless:
            self._keep(request, _NOTHING)
            self._go_on(key, behind)
            return
        self._keep(request, decision)
        if decision.keep:
            self._go_on(key, behind)
            return
        keeping = (keeper.rank for name, keeper in self._keepers.items() if self._line_of[name] == key)
        following = min((each for each in keeping if each >= behind), default=None)
        if following is None:
            del self._cursors[key]
        else:
            self._go_on(key, following)

    def _go_on(self, key: str, cursor: Rank) -> None:
        following = self._lines[key].next(cursor)
        if following is None:
            self._cursors.pop(key, None)
        else:
            self._cursors[key] = cursor
            heapq.heappush(self._agenda, (following, key))

    def _look_at(self, key: str, cursor: Rank | None) -> None:
        """Look at a line from there on, at the latest."""
        if key in self._cursors:
            known = self._cursors[key]
            if known is None or (cursor is not None and known <= cursor):
                cursor = known
        following = self._lines[key].next(cursor)
        if following is not None:
            self._cursors[key] = cursor
            heapq.heappush(self._agenda, (following, key))

    def _look_at_keepers_of(self, names: frozenset[str], behind: Rank | None = None) -> None:
        """At those who keep one of these, or might keep something else if they cannot have it."""
        lines = {key for name in names for key in self._lines_for(name)}
        for request, keeper in self._keepers.items():
            concerned = self._line_of[request] in lines or keeper.lack.keep & names
            if concerned and (behind is None or keeper.rank > behind):
                self._look_at(self._line_of[request], keeper.rank)

    def _look_at_nested(self) -> None:
        """Those who hold something while others keep something: who needs whom to go on may be different now."""
        for name in self._nested:
            request = self._ledger.requests[name]
            self._look_at(self._line_of[name], self._ledger.rank(request))

    def _keep(self, request: Request, lack: Lack) -> None:
        before = self._keepers.pop(request["_id"], None)
        if lack.keep:
            self._keepers[request["_id"]] = _Keeper(self._ledger.rank(request), request, lack)
        old = _NOTHING if before is None else before.lack
        if (old.keep, old.awaits) == (lack.keep, lack.awaits):
            return
        for name in old.keep - lack.keep:
            for key in self._lines_for(name):
                self._look_at(key, None)
        self._look_at_keepers_of(lack.keep - old.keep, behind=self._ledger.rank(request))
        self._look_at_nested()

    def _reserved(self, request: Request) -> dict[str, str]:
        """What requests that come first keep from this one.

        Nothing is kept from a task that has to go on before the keeper can have it all.
        """
        keepers = [keeper for keeper in self._sorted_keepers() if keeper.rank < self._ledger.rank(request)]
        reserved: dict[str, str] = {}
        plain = self._ledger.is_plain(request["task"])
        if keepers and not plain:
            self._nested.add(request["_id"])
        else:
            self._nested.discard(request["_id"])
        for keeper in keepers:
            if plain or not self._is_needed(request["task"], keeper, keepers):
                reserved |= dict.fromkeys(keeper.lack.keep, keeper.request["task"])
        return reserved

    def _is_needed(self, task: str, keeper: _Keeper, keepers: list[_Keeper]) -> bool:
        def kept(request: Request) -> Iterator[frozenset[str]]:
            return (each.lack.keep | each.lack.awaits for each in keepers if each.rank < self._ledger.rank(request))

        return task in self.waits.needed_by(keeper.lack.keep | keeper.lack.awaits, kept)

    def _sorted_keepers(self) -> list[_Keeper]:
        return sorted(self._keepers.values(), key=lambda keeper: keeper.rank)

    def _lines_for(self, name: str) -> set[str]:
        return {key for topic in self._topics_of(name) for key in self._by_topic.get(topic, ())}

    def _topics_of(self, name: str) -> Iterator[Topic]:
        position = self._ledger.positions.get(name)
        device = name if position is None else position["device"]
        yield ("place", name)
        if position is not None and position["device"] is None:
            yield ("place", position["prefix"])
        if device is not None:
            yield ("device", device)
            yield from (("class", base) for base in self._bases.get(device, ()))

    def _know(self, snapshot: str) -> None:
        """Take note of which classes its devices are of."""
        definitions = None if snapshot in self._snapshots else self._define(snapshot)
        if definitions is not None:
            self._snapshots.add(snapshot)
            for name, device in definitions.devices.items():
                self._bases[name].update(device["bases"])

    def _key(self, request: Request) -> str:
        if not self._ledger.is_plain(request["task"]):
            return f"{request['task']} {request['_id']}"
        wants = [
            (each["key"], each["kind"], each["name"], sorted(each["positions"].items())) for each in request["wants"]
        ]
        return f"{request['snapshot']} {wants}"

    def _close(self, key: str) -> None:
        for topic in self._lines.pop(key).topics:
            self._by_topic[topic].discard(key)
            if not self._by_topic[topic]:
                del self._by_topic[topic]
        self._cursors.pop(key, None)
        self.stale.pop(key, None)


def _after(position: Rank) -> Rank:
    """Just behind it."""
    return (position[0], position[1], position[2] + " ")


def _topics(wants: Iterable[Want]) -> Iterator[Topic]:
    for want in wants:
        if want["kind"] != "none":
            yield (want["kind"], want["name"] or "")
        yield from (("place", prefix) for prefix in want["positions"] if want["kind"] == "none" or "/" in prefix)
