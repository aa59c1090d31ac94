"""What a decision of the resource manager costs while very many requests wait for something else."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations, cycle, islice
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.results import Benchmark, Findings
from lab.catalog import Catalog, Definitions
from lab.managers.bus import Bus
from lab.managers.resources import ResourceManager
from lab.records import (
    Binding,
    Device,
    DeviceState,
    Document,
    Position,
    Records,
    Request,
    RequestStatus,
    Want,
    new_id,
    now,
)
from lab.services import start_database, stop

_WAITING: Final = (100, 1000, 10_000)
_CROWDS: Final = {"scheduling_decision": False, "scheduling_decision_samples": True}
"""Whether each of those that wait has a sample, which stands in a place that nobody wants."""

_BUDGET: Final = 0.1
_GROWTH: Final = 3.0
_BUSY: Final = [f"busy_{number}" for number in range(50)]
_SNAPSHOT: Final = "1" * 64
_ARM: Final = "arm"


class _Drivers:
    """Acknowledges every grant; how long a real driver takes is not the manager's business."""

    def call(self, *_: Any, **__: Any) -> None:
        return None


def run(quick: bool) -> Findings:
    """From giving a device back to its grant to the next, who waits for it, on a real database."""
    counts = 20 if quick else 100
    with _database() as client:
        return Findings(
            [figure for name, stands in _CROWDS.items() for figure in _figures(client, name, stands, counts)]
        )


def _figures(client: MongoClient[Document], name: str, stands: bool, counts: int) -> Iterator[Figure]:
    few = _WAITING[0]
    medians = {waiting: median(_decisions(client, waiting, stands, counts)) for waiting in _WAITING}
    budget = limit(_BUDGET, "s", "from the return of a device to its next grant")
    more = Reference(
        f"limit: {_GROWTH:g} times the same while {few} wait, same run", _GROWTH * medians[few], is_limit=True
    )
    for waiting, seconds in medians.items():
        yield Figure(f"{name}_{waiting}", seconds, "s", counts, budget if waiting == few else more)


@contextmanager
def _database() -> Iterator[MongoClient[Document]]:
    with tempfile.TemporaryDirectory() as folder:
        service = start_database(Path(folder))
        try:
            with MongoClient[Document](service.url, tz_aware=True) as client:
                yield client
        finally:
            stop(service)


def _decisions(client: MongoClient[Document], waiting: int, stands: bool, count: int) -> list[float]:
    records = Records(client[f"waiting_{waiting}_{stands}"])
    records.create_indexes()
    _furnish(records)
    _crowd(records, waiting, stands)
    bus = Bus(records.database)
    manager = ResourceManager(records, Catalog(records), bus, _Drivers(), lambda _: None)
    bus.start()
    manager.start()
    try:
        _wait_until_told(records)
        return _measure(records, count)
    finally:
        manager.stop()
        bus.stop()


def _measure(records: Records, count: int) -> list[float]:
    """Two take turns with the arm: while one has it, the other asks for it."""
    holder = _ask(records, [_ARM])
    _wait(records, holder)
    seconds = []
    for _ in range(count):
        following = _ask(records, [_ARM])
        _wait(records, following, waits_for={"$ne": None})
        began = time.perf_counter()
        records.requests.update_one({"_id": holder}, {"$set": {"status": RequestStatus.NEED_RELEASE}})
        _wait(records, following)
        seconds.append(time.perf_counter() - began)
        holder = following
    return seconds


def _wait(records: Records, request: str, **fields: Any) -> None:
    """Until it is granted, or has these fields."""
    query = {"_id": request, **(fields or {"status": RequestStatus.FULFILLED})}
    with records.requests.watch([{"$match": {"documentKey._id": request}}], max_await_time_ms=1000) as changes:
        while records.requests.find_one(query) is None:
            changes.try_next()


def _wait_until_told(records: Records) -> None:
    """Until all that wait know what for: that is done once, and not part of a decision."""
    query = {"status": RequestStatus.PENDING, "waits_for": None}
    with records.requests.watch(max_await_time_ms=1000) as changes:
        while records.requests.find_one(query) is not None:
            while changes.try_next() is not None:
                pass


def _ask(records: Records, devices: list[str]) -> str:
    task = new_id()
    records.tasks.insert_one(_task(task))
    request = _request(task, devices)
    records.requests.insert_one(request)
    return request["_id"]


def _crowd(records: Records, waiting: int, stands: bool) -> None:
    """Each waits for two of the busy devices; the pairs differ."""
    pairs = list(islice(cycle(combinations(_BUSY, 2)), waiting))
    tasks = [_task(new_id(), [f"sample_{number}"] if stands else []) for number in range(waiting)]
    if stands:
        records.positions.insert_many(_place(number) for number in range(waiting))
        records.samples.insert_many(_sample(number) for number in range(waiting))
    records.tasks.insert_many(tasks)
    records.requests.insert_many(_request(task["_id"], list(pair)) for task, pair in zip(tasks, pairs, strict=True))


def _furnish(records: Records) -> None:
    names = [*_BUSY, _ARM]
    devices: dict[str, Document] = {
        name: {"bases": ["my_lab:Device"], "group": name, "positions": []} for name in names
    }
    Catalog(records).put(Definitions(_SNAPSHOT, "my_lab", devices, {}, [], dict.fromkeys(names, "d")))
    holder = _ask_for_ever(records)
    records.devices.insert_many(_device(name, None if name == _ARM else holder) for name in names)


def _ask_for_ever(records: Records) -> tuple[str, str]:
    """A task, and its request that has all the busy devices."""
    task = new_id()
    records.tasks.insert_one(_task(task))
    request = _request(task, _BUSY)
    records.requests.insert_one({**request, "status": RequestStatus.FULFILLED})
    return task, request["_id"]


def _task(task: str, samples: list[str] | None = None) -> Any:
    return {"_id": task, "status": "RUNNING", "attempt": 1, "samples": samples or [], "parent": None}


def _place(number: int) -> Position:
    return Position(_id=f"storage/{number}", device=None, prefix="storage", holder=None, request=None)


def _sample(number: int) -> Any:
    return {"_id": f"sample_{number}", "name": f"sample_{number}", "position": f"storage/{number}"}


def _request(task: str, devices: list[str]) -> Request:
    return Request(
        _id=new_id(),
        task=task,
        attempt=1,
        snapshot=_SNAPSHOT,
        wants=[Want(key=name, kind="device", name=name, positions={}) for name in devices],
        priority=20,
        status=RequestStatus.PENDING,
        created_at=now(),
        grant=None,
        waits_for=None,
        error=None,
    )


def _device(name: str, held: tuple[str, str] | None) -> Device:
    binding = Binding(
        snapshot=_SNAPSHOT, generation=1, digest="d", process="p", address=("127.0.0.1", 1), bound_at=now()
    )
    return Device(
        _id=name,
        group=name,
        type="my_lab:Device",
        description="",
        state=DeviceState.FREE if held is None else DeviceState.GRANTED,
        binding=binding,
        holder=None if held is None else held[0],
        request=None if held is None else held[1],
        fence=0,
        paused=False,
        message="",
        connects=1,
        disconnects=0,
        error=None,
    )


BENCHMARK: Final = Benchmark(
    "a decision of the resource manager while requests wait for something else",
    tuple(f"{name}_{waiting}" for name in _CROWDS for waiting in _WAITING),
    run,
)
