"""The global broker while a version is imported: it gathers the actors, and connects to nothing.

Loading this module sets it, unless a broker is set already. It is loaded by the process that versions are forked from.
"""

from __future__ import annotations

import dramatiq
import dramatiq.broker

from hotswap.routing import RoutingError


class CollectingBroker(dramatiq.Broker):
    """Knows actors and queues; refuses messages."""

    def declare_queue(self, queue_name: str) -> None:
        self.queues.setdefault(queue_name, None)

    def enqueue(self, message: dramatiq.Message[object], *, delay: int | None = None) -> dramatiq.Message[object]:
        del delay
        raise RoutingError(
            f"A message for the actor {message.actor_name} is sent while the code is imported, so it would be sent "
            "again with every version: send it from a function."
        )


if dramatiq.broker.global_broker is None:
    dramatiq.set_broker(CollectingBroker())
