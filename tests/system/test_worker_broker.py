"""The broker that pins messages to versions, without any worker: what reaches whom, and when a version may close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend

from hotswap.generations import FileGenerations
from hotswap.routing import APP_VARIABLE, PromptWorker, RoutingError, VersionedBroker, versioned_broker

pytestmark = pytest.mark.system

A, B = "a" * 64, "b" * 64
PATIENCE_MS = 10_000

Make = Callable[..., VersionedBroker]


@pytest.fixture
def generations(tmp_path: Path) -> FileGenerations:
    return FileGenerations(tmp_path, "app")


@pytest.fixture
def make(broker_url: str, generations: FileGenerations, tmp_path: Path) -> Iterator[Make]:
    made: list[VersionedBroker] = []

    def build(**options: Any) -> VersionedBroker:
        made.append(VersionedBroker(broker_url, generations, namespace=f"test-{tmp_path.name}", **options))
        return made[-1]

    yield build
    for broker in made:
        broker.close()


@pytest.fixture
def keys(broker_url: str, tmp_path: Path) -> Iterator[Callable[[], set[str]]]:
    prefix = f"test-{tmp_path.name}:"
    with redis.Redis.from_url(broker_url) as client:

        def names() -> set[str]:
            found: Any = client.keys(f"{prefix}*")
            return {key.decode().removeprefix(prefix) for key in found}

        yield names
        client.delete(*(prefix + name for name in [*names(), "none"]))


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From now on this is a process of the version."""

    def become(snapshot: str) -> None:
        monkeypatch.setenv(APP_VARIABLE, "app")
        monkeypatch.setenv("HOTSWAP_SNAPSHOT", snapshot)

    return become


def promote(generations: FileGenerations, snapshot: str) -> None:
    current = generations.current()
    expected = current.number if current else None
    generations.promote(
        snapshot, expected=expected, commit=None, dirty=True, environment="e", actor="mira", reason="test"
    )


def message(actor: str = "run", queue: str = "default") -> dramatiq.Message[Any]:
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=(), kwargs={}, options={})


def test_a_message_goes_to_the_version_that_is_current_when_it_is_sent(
    make: Make, generations: FileGenerations, keys: Callable[[], set[str]]
) -> None:
    sender = make()
    promote(generations, A)
    sender.enqueue(message())
    promote(generations, B)
    sender.enqueue(message(queue="mail"))
    sender.enqueue(message(), delay=1_000)
    found = {name for name in keys() if name.endswith(".msgs")}
    assert found == {f"hotswap.app.{A[:12]}.msgs", f"hotswap.app.{B[:12]}-mail.msgs", f"hotswap.app.{B[:12]}.DQ.msgs"}


def test_what_a_version_sends_stays_in_that_version(
    make: Make, generations: FileGenerations, inside: Callable[[str], None]
) -> None:
    promote(generations, B)
    inside(A)
    broker = make()
    broker.enqueue(message())
    assert broker.opened() == {A}


def test_a_version_of_another_application_sends_to_what_is_current(
    make: Make, generations: FileGenerations, inside: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(generations, B)
    inside(A)
    monkeypatch.setenv(APP_VARIABLE, "another")
    broker = make()
    broker.enqueue(message())
    assert broker.opened() == {B}


def test_messages_and_actors_keep_their_plain_queue_names(make: Make, generations: FileGenerations) -> None:
    promote(generations, A)
    broker = make()
    sent = broker.enqueue(message(queue="mail"))
    assert sent.queue_name == "mail"


@pytest.mark.parametrize("delay", [None, 60_000])
@pytest.mark.parametrize("queue", ["default", "mail"])
def test_a_version_with_a_message_cannot_be_closed(
    make: Make, generations: FileGenerations, queue: str, delay: int | None
) -> None:
    promote(generations, A)
    broker = make()
    broker.enqueue(message(queue=queue), delay=delay)
    assert not broker.close_version(A)
    assert broker.opened() == {A}


def test_a_version_with_a_message_that_somebody_works_on_cannot_be_closed(
    make: Make, generations: FileGenerations
) -> None:
    promote(generations, A)
    broker = make()
    broker.enqueue(message())
    consumer = broker.consume("default", timeout=100)
    taken = next(consumer)
    assert taken is not None
    assert not broker.close_version(A)
    consumer.ack(taken)
    assert broker.close_version(A)


def test_a_closed_version_leaves_no_keys(
    make: Make, generations: FileGenerations, keys: Callable[[], set[str]]
) -> None:
    promote(generations, A)
    broker = make()
    for queue in ("default", "mail"):
        broker.enqueue(message(queue=queue))
        consumer = broker.consume(queue)
        consumer.ack(next(consumer))
    assert broker.close_version(A)
    broker.close()
    assert keys() == set()


def test_what_failed_for_good_stays_for_a_week(
    make: Make, generations: FileGenerations, keys: Callable[[], set[str]]
) -> None:
    promote(generations, A)
    broker = make()
    broker.enqueue(message())
    consumer = broker.consume("default")
    consumer.nack(next(consumer))
    assert broker.close_version(A)
    broker.close()
    left = {f"hotswap.app.{A[:12]}.XQ", f"hotswap.app.{A[:12]}.XQ.msgs"}
    assert keys() == left
    lives: list[Any] = [broker.client.pttl(broker.key(name)) for name in left]
    assert all(6 * 86_400_000 < life <= 7 * 86_400_000 for life in lives)


def test_a_message_that_comes_late_for_its_version_goes_to_the_current_one(
    make: Make, generations: FileGenerations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender reads that A is current; before it sends, B is promoted and A drains and closes."""
    promote(generations, A)
    sender = make()
    sender.open(A)
    pins: list[str] = []
    read = sender._pin

    def read_and_be_late() -> str:
        pins.append(read())
        if len(pins) == 1:
            promote(generations, B)
            sender.open(B)
            assert sender.close_version(A)
        return pins[-1]

    monkeypatch.setattr(sender, "_pin", read_and_be_late)
    sender.enqueue(message())
    assert (pins, sender.opened()) == ([A, B], {B})
    assert not sender.close_version(B)


def test_of_many_messages_sent_while_versions_open_and_close_none_is_lost(
    make: Make, generations: FileGenerations, keys: Callable[[], set[str]]
) -> None:
    promote(generations, A)
    start = threading.Barrier(5)

    def send() -> None:
        broker = make()
        start.wait(10)
        for _ in range(100):
            broker.enqueue(message())

    senders = [threading.Thread(target=send) for _ in range(4)]
    for thread in senders:
        thread.start()
    broker = make()
    start.wait(10)
    for number in range(40):
        promote(generations, f"{number:064x}")
        for snapshot in broker.opened():
            broker.close_version(snapshot)
    for thread in senders:
        thread.join()
    waiting: list[Any] = [broker.client.hlen(broker.key(name)) for name in keys() if name.endswith(".msgs")]
    assert sum(waiting) == 400
    with_messages = {name.split(".")[2] for name in keys() if name.endswith(".msgs")}
    assert with_messages <= {one[:12] for one in broker.opened()}


def test_a_consumer_recovers_what_one_of_its_name_had_taken(
    make: Make, generations: FileGenerations, inside: Callable[[str], None]
) -> None:
    promote(generations, A)
    inside(A)
    dead, alive = make(name="one"), make(name="one")
    for broker in (dead, alive):
        broker.declare_queue("default")
    dead.enqueue(message())
    dead.enqueue(message(), delay=60_000)
    assert next(dead.consume("default", timeout=100)) is not None
    assert next(dead.consume("default.DQ", timeout=100)) is not None
    alive.recover()
    queues = [alive.key(alive.stored_name(name)) for name in ("default", "default.DQ")]
    assert [alive.client.llen(queue) for queue in queues] == [1, 1]


def test_a_message_for_a_queue_that_only_the_sender_knows_fails_instead_of_keeping_its_version(
    make: Make, generations: FileGenerations, inside: Callable[[str], None]
) -> None:
    promote(generations, A)
    make().enqueue(message("unknown", queue="mail"))
    inside(A)
    broker = make()
    worker = PromptWorker(broker, threads=1)
    worker.start()
    broker.declare_known_queues()
    broker.join("mail", timeout=PATIENCE_MS, interval=10)
    worker.stop()
    assert broker.close_version(A)


@pytest.fixture
def version(
    make: Make, generations: FileGenerations, inside: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., VersionedBroker]:
    """A broker in a process of the current version, with dramatiq's retries, which wait for as short as they can."""
    monkeypatch.setattr("dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.01)
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.01)
    monkeypatch.setattr("hotswap.routing._versioned._AGAIN_SECONDS", 0.01)
    promote(generations, A)
    inside(A)
    retries = dramatiq.middleware.Retries(min_backoff=1, max_backoff=1)
    return lambda: make(middleware=[retries], name="one")


class Failing:
    """Fails the first calls as if the broker did not answer, after or before it did what it was told."""

    def __init__(self, call: Callable[..., Any], error: Exception, times: int = 3, *, heard: bool = False) -> None:
        self._call = call
        self._errors = [error] * times
        self._heard = heard

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if self._errors:
            if self._heard:
                self._call(*arguments, **keywords)
            raise self._errors.pop()
        return self._call(*arguments, **keywords)


def run(broker: VersionedBroker, actor: Callable[[], None]) -> PromptWorker:
    """A worker for what was sent, and one message for the actor."""
    dramatiq.actor(actor, actor_name="run", broker=broker, max_retries=3)
    broker.enqueue(message())
    worker = PromptWorker(broker, threads=1)
    worker.start()
    return worker


UNREACHABLE = [redis.exceptions.ConnectionError("away"), redis.exceptions.TimeoutError("slow")]


@pytest.mark.parametrize("error", UNREACHABLE, ids=str)
@pytest.mark.parametrize("heard", [True, False], ids=["answer lost", "question lost"])
def test_a_message_that_cannot_be_acknowledged_is_acknowledged_later_and_runs_once(
    version: Callable[..., VersionedBroker], monkeypatch: pytest.MonkeyPatch, error: Exception, heard: bool
) -> None:
    broker = version()
    runs: list[int] = []
    monkeypatch.setattr(broker, "do_ack", Failing(broker.do_ack, error, heard=heard), raising=False)
    worker = run(broker, lambda: runs.append(1))
    wait_until_closed(broker)
    worker.stop()
    assert runs == [1]


@pytest.mark.parametrize("error", UNREACHABLE, ids=str)
def test_a_message_that_fails_while_the_broker_is_away_is_run_again(
    version: Callable[..., VersionedBroker], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broker = version()
    runs: list[int] = []

    def fail_once() -> None:
        runs.append(1)
        if len(runs) == 1:
            monkeypatch.setattr(broker, "_send", Failing(broker._send, error))
            raise RuntimeError("told to fail")

    worker = run(broker, fail_once)
    wait_until_closed(broker)
    worker.stop()
    assert runs == [1, 1]


@pytest.mark.parametrize("delay", [None, 1])
def test_a_message_that_was_fetched_in_an_answer_that_got_lost_is_fetched_again(
    version: Callable[..., VersionedBroker], monkeypatch: pytest.MonkeyPatch, delay: int | None
) -> None:
    broker = version()
    ran = threading.Event()
    broker.enqueue(message("other"), delay=delay)
    failing = Failing(broker.do_fetch, redis.exceptions.TimeoutError("slow"), heard=True)
    monkeypatch.setattr(broker, "do_fetch", failing, raising=False)
    dramatiq.actor(ran.set, actor_name="other", broker=broker)
    worker = run(broker, lambda: None)
    assert ran.wait(PATIENCE_MS / 1_000)
    wait_until_closed(broker)
    worker.stop()


def wait_until_closed(broker: VersionedBroker) -> None:
    """Until no message is left."""
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while not broker.close_version(A):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_results_are_found_by_the_sender_and_through_pipelines(
    make: Make, generations: FileGenerations, inside: Callable[[str], None]
) -> None:
    promote(generations, A)
    results = Results(backend=StubBackend(), store_results=True)
    broker = make(middleware=[dramatiq.middleware.Pipelines(), results])
    add = dramatiq.actor(lambda one, two: one + two, actor_name="add", broker=broker)
    chain = dramatiq.pipeline([add.message(1, 2), add.message(10)], broker=broker).run()
    inside(A)
    worker = PromptWorker(broker, threads=1)
    worker.start()
    assert chain.get_result(block=True, timeout=PATIENCE_MS) == 13
    worker.stop()


def test_sending_without_any_version_says_what_to_start(broker_url: str, tmp_path: Path) -> None:
    broker = versioned_broker(broker_url, "app", store=tmp_path)
    with pytest.raises(RoutingError, match=r"no current version of app in .*: start `hotswap worker app`"):
        broker.enqueue(message())
    broker.close()


def test_a_broker_that_is_gone_is_one_sentence(generations: FileGenerations) -> None:
    broker = VersionedBroker("redis://127.0.0.1:1/0", generations)
    with pytest.raises(RoutingError, match="The broker does not answer"):
        broker.opened()


def test_rabbitmq_is_refused(generations: FileGenerations) -> None:
    with pytest.raises(RoutingError, match="on Redis and Valkey only, not on 'amqp://'"):
        VersionedBroker("amqp://localhost", generations)
