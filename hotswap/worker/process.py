"""The process of one version: it runs the messages that are pinned to it."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any, Final

import dramatiq
from blake3 import blake3

from hotswap.errors import DescribeError
from hotswap.generations import FileGenerations
from hotswap.process import Context, serve
from hotswap.routing import APP_VARIABLE, PromptWorker, RoutingError, VersionedBroker

_FIND_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


def describe(package: str) -> dict[str, Any]:
    """The actors of the version, each with its queue. Raises DescribeError when there are none."""
    actors = {name: actor.queue_name for name, actor in sorted(dramatiq.get_broker().actors.items())}
    if not actors:
        raise DescribeError(
            f"{package} declares no actors for dramatiq's global broker: decorate a function with @dramatiq.actor."
        )
    return {"actors": actors}


def main(context: Context) -> None:
    """Run messages until told to stop; then finish those that run, and put back those that do not end in time.

    ``context.arguments``: ``broker_url``, ``namespace``, ``store``, ``threads``, ``grace`` in seconds, and ``folder``,
    the working directory of the actors.
    """
    os.chdir(context.arguments["folder"])
    os.environ[APP_VARIABLE] = context.package
    broker = _take_over(context)
    worker = PromptWorker(broker, threads=context.arguments["threads"])
    broker.emit_after("process_boot")
    worker.start()
    ending = threading.Event()
    threading.Thread(target=_find_queues, args=(broker, ending), name="queues", daemon=True).start()
    log.info("%s runs %s.", context.name, ", ".join(sorted(broker.actors)))
    try:
        serve(context, {"idle": lambda: _idle(worker)}, lambda: _idle(worker))
    finally:
        ending.set()
        worker.stop(int(context.arguments["grace"] * 1000))
        broker.recover()
        broker.close()


def _take_over(context: Context) -> VersionedBroker:
    """Give the actors, and the middleware they were declared with, to a broker of this process."""
    declared = dramatiq.get_broker()
    broker = VersionedBroker(
        context.arguments["broker_url"],
        FileGenerations(context.arguments["store"], context.package),
        namespace=context.arguments["namespace"],
        middleware=declared.middleware,
        name=f"{context.name}-{blake3(context.secret.encode()).hexdigest()[:12]}",
    )
    dramatiq.set_broker(broker)
    for actor in declared.actors.values():
        actor.broker = broker
        broker.declare_actor(actor)
    broker.declare_known_queues()
    broker.recover()
    return broker


def _find_queues(broker: VersionedBroker, ending: threading.Event) -> None:
    """A queue that only the sender's code knows would keep messages, and so this version, for ever."""
    while not ending.wait(_FIND_SECONDS):
        try:
            broker.declare_known_queues()
        except RoutingError as problem:
            log.debug("%s", problem)


def _idle(worker: PromptWorker) -> bool:
    return not worker.work_queue.unfinished_tasks
