"""One message queue per snapshot: a message goes to the version it is pinned to.

Messages are hints, so the brokers made here know no retries, delays, time limits or results. On Redis and Valkey
an idle consumer blocks on a *wake list* beside its queue instead of polling: it costs nothing, and a message
arrives within milliseconds.
"""

# dramatiq's Redis broker and consumer are not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import importlib.util
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import redis
import redis.backoff
import redis.exceptions
import redis.retry
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import dq_name, xq_name
from dramatiq.errors import ConnectionClosed

from hotswap.errors import HotswapError

_APP = re.compile(r"[A-Za-z0-9_-]+")
_SNAPSHOT = re.compile(r"[0-9a-f]{12,}")

# How long an idle consumer blocks at most: it has to show a sign of life from time to time.
_BLOCK_SECONDS = 5
# Wakes kept per queue: more than the consumers of one snapshot would only cause empty fetches.
_WAKES = 8
_WAKE_MILLISECONDS = 4 * _BLOCK_SECONDS * 1000
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


class RoutingError(HotswapError):
    """A message cannot be routed: a bad name, an unusable broker URL, or a broker that does not answer."""


def queue_name(app: str, snapshot_id: str) -> str:
    """The queue of one snapshot of one application; several applications can share a broker."""
    if not _APP.fullmatch(app):
        raise RoutingError(
            f"{app!r} cannot be part of a queue name; use letters, digits, '-' and '_' for the application's name."
        )
    if not _SNAPSHOT.fullmatch(snapshot_id):
        raise RoutingError(f"{snapshot_id!r} is no snapshot id; give at least 12 hexadecimal digits.")
    return f"hotswap.{app}.{snapshot_id[:12]}"


def make_broker(url: str, namespace: str = "dramatiq") -> dramatiq.Broker:
    """A broker for ``redis://``, ``rediss://``, ``unix://`` (Redis, Valkey) or ``amqp://``, ``amqps://`` (RabbitMQ).

    Build it after a fork, never before. ``namespace`` begins the name of every key on Redis.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("redis", "rediss", "unix"):
        return _WakingBroker(url, namespace)
    if scheme in ("amqp", "amqps"):
        return _make_rabbitmq_broker(url)
    raise RoutingError(
        f"A broker URL begins with redis:// or amqp://, not with '{scheme}://'; correct the broker's URL."
    )


def send(broker: dramatiq.Broker, queue: str, actor_name: str, *args: Any) -> None:
    """Send a hint; the actor need not be declared here. ``args`` are JSON values.

    Raises RoutingError when the broker does not take it.
    """
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name=queue, actor_name=actor_name, args=args, kwargs={}, options={}
    )
    try:
        broker.enqueue(message)
    except (redis.exceptions.RedisError, dramatiq.errors.BrokerError) as error:
        raise RoutingError(f"The broker did not take a message for {queue}: {error}; see that it runs.") from error


def purge(broker: dramatiq.Broker, queue: str) -> None:
    """Delete everything the broker holds for a queue that has no consumers any more."""
    if isinstance(broker, _WakingBroker):
        broker.purge(queue)
    else:
        _purge_rabbitmq(broker, queue)


def start_worker(
    broker: dramatiq.Broker,
    queue: str,
    actor_fn: Callable[..., None],
    *,
    actor_name: str | None = None,
    threads: int = 2,
) -> dramatiq.Worker:
    """Run ``actor_fn`` for each message of just that queue, in ``threads`` threads; end it by ``stop()``.

    The actor's name is the function's unless given.
    """
    declare = dramatiq.actor(broker=broker, queue_name=queue, actor_name=actor_name or actor_fn.__name__)
    declare(actor_fn)
    worker = _PromptWorker(broker, queues={queue}, worker_threads=threads, worker_timeout=_THREAD_MILLISECONDS)
    worker.start()
    return worker


class _WakingBroker(RedisBroker):
    """dramatiq's Redis broker without delay queues, and with a wake list per queue."""

    def __init__(self, url: str, namespace: str) -> None:
        super().__init__(client=_client(url), namespace=namespace, middleware=[])
        self._enqueue = self.client.register_script(_ENQUEUE)

    @property
    def consumer_class(self) -> type[_WakingConsumer]:
        return _WakingConsumer

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def do_enqueue(self, queue_name: str, message_id: str, data: bytes) -> None:
        keys = [self._key(queue_name), self.wake_key(queue_name)]
        self._enqueue(keys=keys, args=[message_id, data, _WAKES, _WAKE_MILLISECONDS])

    def wake_key(self, queue_name: str) -> str:
        return self._key(f"{queue_name}.wake")

    def wake(self, key: str) -> None:
        """Make the next (or present) blocking pop of ``key`` return."""
        with self.client.pipeline() as pipe:
            pipe.rpush(key, "1")
            pipe.ltrim(key, -_WAKES, -1)
            pipe.pexpire(key, _WAKE_MILLISECONDS)
            pipe.execute()

    def purge(self, queue_name: str) -> None:
        names = (queue_name, dq_name(queue_name), xq_name(queue_name))
        keys = [self._key(name + suffix) for name in names for suffix in ("", ".msgs")]
        workers = [*self._known_workers(), self.broker_id]
        acks = [self._ack_key(worker, name) for worker in workers for name in names]
        self.client.delete(self.wake_key(queue_name), *keys, *acks)

    def close(self) -> None:
        """Say goodbye, so that this broker's name does not stay in the heartbeats, and disconnect."""
        try:
            if not any(self.client.exists(self._ack_key(self.broker_id, queue)) for queue in self.queues):
                self.client.zrem(self._key("__heartbeats__"), self.broker_id)
        except redis.exceptions.RedisError as error:
            self.logger.debug("The broker is gone already: %s", error)
        self.client.close()
        self.client.connection_pool.disconnect()

    def _known_workers(self) -> list[str]:
        workers: Any = self.client.zrange(self._key("__heartbeats__"), 0, -1)
        return [worker.decode() for worker in workers]

    def _ack_key(self, worker: str, queue_name: str) -> str:
        return self._key(f"__acks__.{worker}.{queue_name}")

    def _key(self, name: str) -> str:
        return f"{self.namespace}:{name}"


class _WakingConsumer(_RedisConsumer):
    """Blocks where dramatiq's consumer sleeps: on the wake list, or until an acknowledgement makes room."""

    broker: _WakingBroker

    def __init__(self, broker: _WakingBroker, queue_name: str, prefetch: int, timeout: int) -> None:
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
        try:
            message: MessageProxy | None = super().__next__()
            if message is None:
                self._wait(full)
        except (redis.exceptions.TimeoutError, redis.exceptions.ConnectionError) as error:
            raise ConnectionClosed(error) from None
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


class _PromptWorker(dramatiq.Worker):
    """A worker whose consumers do not keep ``stop`` waiting."""

    def stop(self, timeout: int = 600_000) -> None:
        for thread in self.consumers.values():
            if isinstance(thread.consumer, _WakingConsumer):
                thread.consumer.release()
        super().stop(timeout)


def _client(url: str) -> redis.Redis:
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        socket_keepalive=True,
        socket_connect_timeout=_BLOCK_SECONDS,
        socket_timeout=2 * _BLOCK_SECONDS,
        retry=redis.retry.Retry(redis.backoff.ExponentialBackoff(cap=0.5, base=0.05), 3),
    )
    return redis.Redis(connection_pool=pool)


def _make_rabbitmq_broker(url: str) -> dramatiq.Broker:
    if importlib.util.find_spec("pika") is None:
        raise RoutingError(
            "RabbitMQ needs the package 'pika'; run `pip install 'dramatiq[rabbitmq]'` or use a redis:// URL."
        )
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    return RabbitmqBroker(url=url, middleware=[])


def _purge_rabbitmq(broker: Any, queue: str) -> None:
    for name in (queue, dq_name(queue), xq_name(queue)):
        broker.channel.queue_delete(name)
