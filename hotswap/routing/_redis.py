"""dramatiq's Redis broker, its consumer and its worker, made prompt: who has nothing to do blocks instead of polling.

A consumer blocks on a *wake list* beside its queue, so it costs nothing while it is idle, and a message arrives within
milliseconds.
"""

# dramatiq's Redis broker and consumer are not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import redis
import redis.backoff
import redis.exceptions
import redis.retry
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import dq_name, xq_name
from dramatiq.errors import ConnectionClosed

from hotswap.routing._names import RoutingError

# Wakes kept per queue: more than the consumers of one snapshot would only cause empty fetches.
WAKES = 8
# How long an idle consumer blocks at most: it has to show a sign of life from time to time.
_BLOCK_SECONDS = 5
WAKE_MILLISECONDS = 4 * _BLOCK_SECONDS * 1000
# How often idle dramatiq threads look whether they should stop.
_THREAD_MILLISECONDS = 250
_CLOSING_SECONDS = 0.05
_CONNECTIONS = 64

_ENQUEUE = """
redis.call("hset", KEYS[1] .. ".msgs", ARGV[1], ARGV[2])
redis.call("rpush", KEYS[1], ARGV[1])
redis.call("rpush", KEYS[2], "1")
redis.call("ltrim", KEYS[2], -tonumber(ARGV[3]), -1)
redis.call("pexpire", KEYS[2], ARGV[4])
"""


class WakingBroker(RedisBroker):
    """dramatiq's Redis broker with a wake list per queue; ``stored_name`` is what a queue is called on the server."""

    def __init__(self, url: str, namespace: str, middleware: list[dramatiq.Middleware] | None = None) -> None:
        super().__init__(client=_client(url), namespace=namespace, middleware=middleware)
        self._enqueue = self.client.register_script(_ENQUEUE)
        self._held: defaultdict[str, set[str]] = defaultdict(set)

    def held(self, queue_name: str) -> set[str]:
        """What was taken from a queue and is worked on, or waits for it, in this process; by the numbers on the broker.

        It outlives consumers, which are made anew whenever the connection was lost.
        """
        return self._held[queue_name]

    def stored_name(self, queue_name: str) -> str:
        return queue_name

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> KeepingConsumer:
        # What is due on a delay queue is found by looking, so nothing may block there.
        kind = KeepingConsumer if queue_name in self.delay_queues else WakingConsumer
        return kind(self, queue_name, prefetch, timeout)

    def do_enqueue(self, queue_name: str, message_id: str, data: bytes) -> None:
        keys = [self.key(self.stored_name(queue_name)), self.wake_key(queue_name)]
        self._enqueue(keys=keys, args=[message_id, data, WAKES, WAKE_MILLISECONDS])

    def wake_key(self, queue_name: str) -> str:
        return self.key(f"{self.stored_name(queue_name)}.wake")

    def wake(self, key: str) -> None:
        """Make the next (or present) blocking pop of ``key`` return."""
        with self.client.pipeline() as pipe:
            pipe.rpush(key, "1")
            pipe.ltrim(key, -WAKES, -1)
            pipe.pexpire(key, WAKE_MILLISECONDS)
            pipe.execute()

    def close(self) -> None:
        """Say goodbye, so that this broker's name does not stay in the heartbeats, and disconnect."""
        try:
            queues = self.queues | self.delay_queues
            if not any(self.client.exists(self.ack_key(self.broker_id, queue)) for queue in queues):
                self.client.zrem(self.key("__heartbeats__"), self.broker_id)
        except redis.exceptions.RedisError as error:
            self.logger.debug("The broker is gone already: %s", error)
        self.client.close()
        self.client.connection_pool.disconnect()

    def ack_key(self, worker: str, queue_name: str) -> str:
        return self.key(f"__acks__.{worker}.{self.stored_name(queue_name)}")

    def key(self, name: str) -> str:
        return f"{self.namespace}:{name}"

    def _dispatch(self, command: str) -> Callable[..., Any]:
        dispatch = super()._dispatch(command)
        return lambda queue_name, *args: dispatch(self.stored_name(queue_name), *args)


class HintBroker(WakingBroker):
    """For messages that are hints: no middleware, and so no retries or time limits, and no delay queues."""

    def __init__(self, url: str, namespace: str) -> None:
        super().__init__(url, namespace, middleware=[])

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def purge(self, queue_name: str) -> None:
        names = (queue_name, dq_name(queue_name), xq_name(queue_name))
        keys = [self.key(name + suffix) for name in names for suffix in ("", ".msgs")]
        workers = [*self._known_workers(), self.broker_id]
        acks = [self.ack_key(worker, name) for worker in workers for name in names]
        self.client.delete(self.wake_key(queue_name), *keys, *acks)

    def _known_workers(self) -> list[str]:
        workers: Any = self.client.zrange(self.key("__heartbeats__"), 0, -1)
        return [worker.decode() for worker in workers]


class KeepingConsumer(_RedisConsumer):
    """dramatiq's consumer, which loses sight of messages when the broker cannot be reached, made to find them again.

    On the broker a message is *taken* from its fetch to its acknowledgement. One that is taken, and which this process
    does not hold, came in an answer that never arrived, or was dropped when the connection broke: it goes back to its
    queue. Whatever fails on the way to the broker is told to dramatiq as a lost connection, which it tries again.
    """

    broker: WakingBroker

    def __init__(self, broker: WakingBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._held = broker.held(queue_name)
        self._look_at = 0.0
        if queue_name in broker.delay_queues:
            self._held.clear()  # dramatiq has dropped what was delayed by the consumer before this one

    def __next__(self) -> MessageProxy | None:
        with _closed_when_unreachable():
            if not self.message_cache and time.monotonic() >= self._look_at:
                self._put_back_lost()
            message: MessageProxy | None = super().__next__()
        if message is not None:
            self._held.add(message.options["redis_message_id"])
        return message

    def ack(self, message: MessageProxy) -> None:
        with _closed_when_unreachable():
            super().ack(message)
        self._held.discard(message.options["redis_message_id"])

    def nack(self, message: MessageProxy) -> None:
        with _closed_when_unreachable():
            super().nack(message)
        self._held.discard(message.options["redis_message_id"])

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        messages = list(messages)
        self._held.difference_update(message.options["redis_message_id"] for message in messages)
        with _closed_when_unreachable():
            super().requeue(messages)

    def _put_back_lost(self) -> None:
        taken: Any = self.broker.client.smembers(self.broker.ack_key(self.broker.broker_id, self.queue_name))
        lost = {each.decode() for each in taken} - self._held
        if lost:
            self.broker.do_requeue(self.queue_name, *lost)
        self._look_at = time.monotonic() + _BLOCK_SECONDS


class WakingConsumer(KeepingConsumer):
    """Blocks where dramatiq's consumer sleeps: on the wake list, or until an acknowledgement makes room."""

    def __init__(self, broker: WakingBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        del timeout
        # With an idle timeout of 0 the parent never sleeps.
        super().__init__(broker, queue_name, prefetch, 0)
        self._wake_key = broker.wake_key(queue_name)
        self._release_key = f"{self._wake_key}.{broker.broker_id}"
        self._room = threading.Event()
        self._released = False

    def __next__(self) -> MessageProxy | None:
        self._room.clear()
        # Asked before the fetch: an acknowledgement meanwhile sets the event, so that none is overlooked.
        full = self.outstanding_message_count >= self.prefetch
        message = super().__next__()
        if message is None:
            with _closed_when_unreachable():
                self._wait(full)
        return message

    def ack(self, message: MessageProxy) -> None:
        super().ack(message)
        self._room.set()

    def nack(self, message: MessageProxy) -> None:
        super().nack(message)
        self._room.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        messages = list(messages)
        super().requeue(messages)
        with _closed_when_unreachable():
            for _ in messages:
                self.broker.wake(self._wake_key)

    def release(self) -> None:
        """Never block again, so that the consuming thread can end; callable from another thread."""
        self._released = True
        self._room.set()
        try:
            self.broker.wake(self._release_key)
        except redis.exceptions.RedisError as error:
            self.logger.debug("The broker is gone, so nothing blocks: %s", error)

    def close(self) -> None:
        try:
            self.broker.client.delete(self._release_key)
        except redis.exceptions.RedisError as error:
            self.logger.debug("The broker is gone; the release key expires by itself: %s", error)

    def _wait(self, full: bool) -> None:
        if self._released:
            time.sleep(_CLOSING_SECONDS)
        elif full:
            self._room.wait(_BLOCK_SECONDS)
        else:
            self.broker.client.blpop([self._release_key, self._wake_key], timeout=_BLOCK_SECONDS)


class PromptWorker(dramatiq.Worker):
    """A worker whose consumers do not keep ``stop`` waiting; all declared queues unless some are named."""

    def __init__(self, broker: WakingBroker | dramatiq.Broker, *, threads: int, queues: set[str] | None = None) -> None:
        super().__init__(broker, queues=queues, worker_threads=threads, worker_timeout=_THREAD_MILLISECONDS)

    def stop(self, timeout: int = 600_000) -> None:
        for thread in self.consumers.values():
            if isinstance(thread.consumer, WakingConsumer):
                thread.consumer.release()
        super().stop(timeout)


@contextmanager
def _closed_when_unreachable() -> Iterator[None]:
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise ConnectionClosed(error) from None


def _client(url: str) -> redis.Redis:
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            socket_keepalive=True,
            socket_connect_timeout=_BLOCK_SECONDS,
            socket_timeout=2 * _BLOCK_SECONDS,
            retry=redis.retry.Retry(redis.backoff.ExponentialBackoff(cap=0.5, base=0.05), 3),
        )
    except ValueError as error:
        raise RoutingError(f"The broker's URL cannot be used ({error}); correct it.") from error
    return redis.Redis(connection_pool=pool)
