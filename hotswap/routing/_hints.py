"""Messages that are hints: sent to the queue of one snapshot, and worth nothing but to be told soon.

The brokers made here know no retries, delays, time limits or results.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import redis.exceptions
from dramatiq.common import dq_name, xq_name

from hotswap.routing._names import RoutingError
from hotswap.routing._redis import HintBroker, PromptWorker


def make_broker(url: str, namespace: str = "dramatiq") -> dramatiq.Broker:
    """A broker for ``redis://``, ``rediss://``, ``unix://`` (Redis, Valkey) or ``amqp://``, ``amqps://`` (RabbitMQ).

    Build it after a fork, never before. ``namespace`` begins the name of every key on Redis.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("redis", "rediss", "unix"):
        return HintBroker(url, namespace)
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
    if isinstance(broker, HintBroker):
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
    worker = PromptWorker(broker, queues={queue}, threads=threads)
    worker.start()
    return worker


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
