"""One message queue per snapshot: a message goes to the version it is pinned to.

``make_broker``, ``send`` and ``start_worker`` carry *hints*, for programs that keep the truth elsewhere.
``versioned_broker`` is for programs whose messages are the truth: plain dramatiq, pinned.
"""

from __future__ import annotations

from hotswap.routing._hints import make_broker, purge, send, start_worker
from hotswap.routing._names import RoutingError, queue_name
from hotswap.routing._redis import PromptWorker
from hotswap.routing._versioned import APP_VARIABLE, VersionedBroker, versioned_broker

__all__ = [
    "APP_VARIABLE",
    "PromptWorker",
    "RoutingError",
    "VersionedBroker",
    "make_broker",
    "purge",
    "queue_name",
    "send",
    "start_worker",
    "versioned_broker",
]
