from __future__ import annotations

import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dramatiq
import pytest
import redis

from hotswap.routing import make_broker, purge, queue_name, send, start_worker
from lab.services import start_broker, stop

pytestmark = pytest.mark.system

MakeBroker = Callable[[], dramatiq.Broker]


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def make(broker_url: str, namespace: str) -> Iterator[MakeBroker]:
    brokers: list[dramatiq.Broker] = []

    def build() -> dramatiq.Broker:
        brokers.append(make_broker(broker_url, namespace))
        return brokers[-1]

    yield build
    for broker in brokers:
        broker.close()


@pytest.fixture
def name() -> str:
    return queue_name("test", uuid.uuid4().hex)


@pytest.fixture
def keys(broker_url: str, namespace: str) -> Iterator[Callable[[], set[bytes]]]:
    with redis.Redis.from_url(broker_url) as client:
        yield lambda: set(client.keys(f"{namespace}:*"))


def test_a_message_reaches_only_the_queue_it_names(make: MakeBroker) -> None:
    old, new = queue_name("test", "a" * 12), queue_name("test", "b" * 12)
    got: queue.Queue[tuple[str, int]] = queue.Queue()
    workers = [
        start_worker(make(), old, lambda number: got.put(("old", number)), actor_name="run"),
        start_worker(make(), new, lambda number: got.put(("new", number)), actor_name="run"),
    ]
    sender = make()
    send(sender, old, "run", 1)
    assert got.get(timeout=5) == ("old", 1)
    send(sender, new, "run", 2)
    assert got.get(timeout=5) == ("new", 2)
    for worker in workers:
        worker.stop()


def test_messages_sent_before_the_worker_starts_are_kept_for_it(make: MakeBroker, name: str) -> None:
    sender = make()
    for number in range(20):
        send(sender, name, "run", number)
    got: queue.Queue[int] = queue.Queue()
    worker = start_worker(make(), name, got.put, actor_name="run")
    assert sorted(got.get(timeout=5) for _ in range(20)) == list(range(20))
    worker.stop()


def test_a_burst_is_consumed_once_by_several_workers(make: MakeBroker, name: str) -> None:
    got: queue.Queue[int] = queue.Queue()
    workers = [start_worker(make(), name, got.put, actor_name="run") for _ in range(3)]
    sender = make()
    for number in range(300):
        send(sender, name, "run", number)
    assert sorted(got.get(timeout=5) for _ in range(300)) == list(range(300))
    for worker in workers:
        worker.stop()
    assert got.empty()


def test_a_saturated_worker_goes_on_as_soon_as_there_is_room(make: MakeBroker, name: str) -> None:
    gate = threading.Event()
    got: queue.Queue[int] = queue.Queue()

    def run(number: int) -> None:
        gate.wait(10)
        got.put(number)

    worker = start_worker(make(), name, run, threads=1)
    sender = make()
    for number in range(12):
        send(sender, name, "run", number)
    gate.set()
    started = time.monotonic()
    assert sorted(got.get(timeout=5) for _ in range(12)) == list(range(12))
    assert time.monotonic() - started < 2
    worker.stop()


def test_a_message_arrives_within_milliseconds(make: MakeBroker, name: str) -> None:
    arrived: queue.Queue[float] = queue.Queue()
    worker = start_worker(make(), name, lambda: arrived.put(time.monotonic()), actor_name="run")
    sender = make()
    delays = []
    for _ in range(41):
        sent = time.monotonic()
        send(sender, name, "run")
        delays.append(arrived.get(timeout=5) - sent)
    worker.stop()
    # The budget is 5 ms; a loaded test machine gets more.
    assert sorted(delays)[20] < 0.02


def test_an_idle_worker_stops_promptly(make: MakeBroker, name: str) -> None:
    done = threading.Event()
    worker = start_worker(make(), name, done.set, actor_name="run")
    send(make(), name, "run")
    assert done.wait(5)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 1.0


def test_a_worker_that_stops_hands_its_unstarted_messages_to_another(make: MakeBroker, name: str) -> None:
    gate, busy = threading.Event(), threading.Event()
    got: queue.Queue[int] = queue.Queue()

    def run(number: int) -> None:
        busy.set()
        gate.wait(10)
        got.put(number)

    first = start_worker(make(), name, run, threads=1)
    sender = make()
    send(sender, name, "run", 0)
    send(sender, name, "run", 1)
    assert busy.wait(5)
    second = start_worker(make(), name, got.put, actor_name="run")
    stopping = threading.Thread(target=first.stop)
    stopping.start()
    gate.set()
    stopping.join(10)
    assert sorted(got.get(timeout=2) for _ in range(2)) == [0, 1]
    second.stop()


def test_the_broker_holds_as_many_keys_after_100_refreshes(make: MakeBroker, keys: Callable[[], set[bytes]]) -> None:
    sender = make()
    send(sender, queue_name("test", "0" * 12), "run")
    purge(sender, queue_name("test", "0" * 12))
    before = keys()

    def refresh(number: int) -> None:
        name = queue_name("test", f"{number:012x}")
        consumer, done = make(), threading.Event()
        worker = start_worker(consumer, name, done.set, actor_name="run")
        send(sender, name, "run")
        assert done.wait(5)
        send(sender, name, "unknown actor")
        worker.stop()
        consumer.close()
        purge(sender, name)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(refresh, range(100)))
    assert keys() == before


def test_purge_deletes_what_a_killed_worker_left(make: MakeBroker, name: str, keys: Callable[[], set[bytes]]) -> None:
    sender, dead = make(), make()
    for number in range(3):
        send(sender, name, "run", number)
    next(dead.consume(name, prefetch=2))
    assert any(b"__acks__" in key for key in keys())
    purge(sender, name)
    assert not [key for key in keys() if name.encode() in key]


def test_consumers_survive_a_crash_of_the_broker(state_dir: Path, name: str) -> None:
    service = start_broker(state_dir)
    got: queue.Queue[int] = queue.Queue()
    consumer, sender = make_broker(service.url), make_broker(service.url)
    worker = start_worker(consumer, name, got.put, actor_name="run")
    send(sender, name, "run", 1)
    assert got.get(timeout=5) == 1
    service.identity.kill()
    service = start_broker(state_dir)
    send(sender, name, "run", 2)
    assert got.get(timeout=10) == 2
    worker.stop()
    consumer.close()
    sender.close()
    stop(service)


def test_an_idle_worker_costs_next_to_nothing(make: MakeBroker, name: str) -> None:
    ready = threading.Event()
    worker = start_worker(make(), name, ready.set, actor_name="run")
    send(make(), name, "run")
    assert ready.wait(5)
    before = sum(os.times()[:2])
    threading.Event().wait(2)
    used = sum(os.times()[:2]) - before
    worker.stop()
    assert used / 2 < 0.02
