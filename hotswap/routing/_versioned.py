"""A dramatiq broker whose messages are pinned: each goes to the version that is current when it is sent, and what a
version sends stays in that version.

On the server every version has queues of its own; in messages, actors and middleware they keep their plain names. A
version takes messages while it is *open*, which one set tells for all versions of an application. Sending asks that
set, and closing looks for messages, each in one step of the server: so no message can reach a version that was closed.
"""

# dramatiq's Redis broker is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import redis.exceptions
from dramatiq.common import dq_name, q_name
from dramatiq.worker import ConsumerThread

from hotswap.generations import FileGenerations
from hotswap.routing._names import RoutingError, queue_name
from hotswap.routing._redis import WAKE_MILLISECONDS, WAKES, WakingBroker

APP_VARIABLE = "HOTSWAP_APP"
"""Set, beside HOTSWAP_SNAPSHOT, where a version of this application runs: in its process and in all it starts."""

_DEFAULT_QUEUE = "default"
_AGAIN_SECONDS = 1.0
# Out of a million commands: what a worker that died left behind is found within seconds after its last sign of life.
_MAINTENANCE_CHANCE = 100_000

_SEND = """
if redis.call("sismember", KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call("sadd", KEYS[2], ARGV[2])
redis.call("hset", KEYS[3] .. ".msgs", ARGV[3], ARGV[4])
redis.call("rpush", KEYS[3], ARGV[3])
redis.call("rpush", KEYS[4], "1")
redis.call("ltrim", KEYS[4], -tonumber(ARGV[5]), -1)
redis.call("pexpire", KEYS[4], ARGV[6])
return 1
"""

# A message is in the hash of its queue from its sending to its acknowledgement, whoever has it meanwhile.
_CLOSE = """
local names = redis.call("smembers", KEYS[2])
for _, name in ipairs(names) do
  for _, part in ipairs({"", ".DQ"}) do
    if redis.call("exists", ARGV[2] .. name .. part .. ".msgs") == 1 then return 0 end
  end
end
redis.call("srem", KEYS[1], ARGV[1])
redis.call("del", KEYS[2])
for _, name in ipairs(names) do
  redis.call("del", ARGV[2] .. name .. ".wake", ARGV[2] .. name .. ".DQ.wake")
  redis.call("pexpire", ARGV[2] .. name .. ".XQ", ARGV[3])
  redis.call("pexpire", ARGV[2] .. name .. ".XQ.msgs", ARGV[3])
end
return 1
"""


def versioned_broker(
    url: str,
    app: str,
    *,
    store: Path | str = "snapshots",
    namespace: str = "dramatiq",
    middleware: list[dramatiq.Middleware] | None = None,
) -> VersionedBroker:
    """A broker that sends each message to the version of ``app`` that is current at that moment.

    ``url`` begins with ``redis://``, ``rediss://`` or ``unix://``; ``middleware`` is dramatiq's default unless given.
    Connects when it is first used. Sending raises RoutingError while no version was ever made current.
    """
    return VersionedBroker(url, FileGenerations(store, app), namespace=namespace, middleware=middleware)


class VersionedBroker(WakingBroker):
    """See ``versioned_broker``. ``name`` tells consumers apart: one started under the name of a dead one may
    ``recover`` what that had taken."""

    def __init__(
        self,
        url: str,
        generations: FileGenerations,
        *,
        namespace: str = "dramatiq",
        middleware: list[dramatiq.Middleware] | None = None,
        name: str | None = None,
    ) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in ("redis", "rediss", "unix"):
            raise RoutingError(
                f"Messages are pinned to versions on Redis and Valkey only, not on '{scheme}://': use a redis:// URL."
            )
        super().__init__(url, namespace, middleware)
        self.app = generations.app
        self.maintenance_chance = _MAINTENANCE_CHANCE
        if name is not None:
            self.broker_id = name
        self._generations = generations
        self._insists = threading.local()
        self._send = self.client.register_script(_SEND)
        self._close = self.client.register_script(_CLOSE)
        self._open_key = self.key(f"hotswap.{self.app}.open")

    def stored_name(self, queue_name: str) -> str:
        return self._stored_name(self._pin(), queue_name)

    def do_enqueue(self, queue_name: str, message_id: str, data: bytes) -> None:
        pin = self._pin()
        while not self._taken(pin, queue_name, message_id, data):
            # Either another version was promoted meanwhile, or nobody opened this one yet.
            before, pin = pin, self._pin()
            if pin == before:
                self.open(pin)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """What is sent because a message was processed, as its retry, is sent again until the broker has it.

        dramatiq logs a failure, and then acknowledges the message, which would be lost.
        """
        self._insists.now = signal == "process_message"
        try:
            super().emit_after(signal, *args, **kwargs)
        finally:
            self._insists.now = False

    def open(self, snapshot: str) -> None:
        """Let a version take messages from now on. Raises RoutingError, as all that is not plain dramatiq does."""
        with _answering():
            self.client.sadd(self._open_key, snapshot)

    def opened(self) -> set[str]:
        """The ids of the versions that take messages, which is at least all that have any."""
        with _answering():
            members: Any = self.client.smembers(self._open_key)
        return {member.decode() for member in members}

    def close_version(self, snapshot: str) -> bool:
        """Let a version take no more messages, unless some wait, are delayed or not acknowledged; whether it is closed.

        What failed for good stays for as long as dramatiq keeps such messages.
        """
        keys = [self._open_key, self._queues_key(snapshot)]
        prefix = self.key(queue_name(self.app, snapshot))
        with _answering():
            return bool(self._close(keys=keys, args=[snapshot, prefix, self.dead_message_ttl]))

    def declare_known_queues(self) -> None:
        """Declare every queue that somebody sent to: what has no actor here then fails instead of waiting for ever."""
        with _answering():
            names: Any = self.client.smembers(self._queues_key(self._pin()))
        for name in names:
            self.declare_queue(name.decode().removeprefix("-") or _DEFAULT_QUEUE)

    def recover(self) -> None:
        """Put back what a consumer of this name took and did not acknowledge; it must not run any more."""
        for name in self.queues | self.delay_queues:
            taken: Any = self.client.smembers(self.ack_key(self.broker_id, name))
            if taken:
                self.do_requeue(name, *taken)

    def _taken(self, snapshot: str, queue_name: str, message_id: str, data: bytes) -> bool:
        """Whether the version is open and has the message now."""
        while True:
            try:
                return self._enqueue_in(snapshot, queue_name, message_id, data)
            except redis.exceptions.RedisError as error:
                if not self._must_not_fail():
                    raise
                self.logger.warning("A message is sent again, as the broker does not answer: %s", error)
                time.sleep(_AGAIN_SECONDS)

    def _must_not_fail(self) -> bool:
        """Whether dramatiq itself sends: a retry, the next of a pipeline, or what was delayed and is due."""
        return getattr(self._insists, "now", False) or isinstance(threading.current_thread(), ConsumerThread)

    def _enqueue_in(self, snapshot: str, queue_name: str, message_id: str, data: bytes) -> bool:
        stored = self.key(self._stored_name(snapshot, queue_name))
        keys = [self._open_key, self._queues_key(snapshot), stored, f"{stored}.wake"]
        args: list[Any] = [snapshot, _suffix(queue_name), message_id, data, WAKES, WAKE_MILLISECONDS]
        return bool(self._send(keys=keys, args=args))

    def _stored_name(self, snapshot: str, name: str) -> str:
        stored = queue_name(self.app, snapshot) + _suffix(name)
        return stored if q_name(name) == name else dq_name(stored)

    def _queues_key(self, snapshot: str) -> str:
        return self.key(f"{queue_name(self.app, snapshot)}.queues")

    def _pin(self) -> str:
        if os.environ.get(APP_VARIABLE) == self.app:
            return os.environ["HOTSWAP_SNAPSHOT"]
        current = self._generations.current()
        if current is None:
            raise RoutingError(
                f"There is no current version of {self.app} in {self._generations.store}: "
                f"start `hotswap worker {self.app}` with that store first."
            )
        return current.snapshot


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise RoutingError(f"The broker does not answer ({error}); see that it runs.") from error


def _suffix(name: str) -> str:
    """What follows the version in the stored name of a queue, and of its delay queue before the ending."""
    plain = q_name(name)
    return "" if plain == _DEFAULT_QUEUE else f"-{plain}"
