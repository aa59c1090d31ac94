"""The life of a worker process."""

from __future__ import annotations

import logging

import dramatiq
from pymongo import MongoClient

from hotswap.process import Context, Identity, serve
from hotswap.routing import make_broker, queue_name, start_worker
from hotswap.wire import address_of
from lab.definitions import set_simulation
from lab.records import Document, Records, Worker, now
from lab.results.large_result import read_from
from lab.results.result_files import ResultFiles
from lab.watching import Watcher
from lab.worker._actor import Intake
from lab.worker._lease import BEAT_SECONDS, Lease

log = logging.getLogger(__name__)


def main(context: Context) -> None:
    """Take the tasks of ``context.snapshot`` until told to stop, and return when those that run have ended.

    ``context.arguments``: ``mongo_uri``, ``database``, ``broker_url``, ``lab`` (its name, part of the queue's name),
    ``simulation`` (default True), ``capacity`` (default 128 tasks at once), ``results`` ("warn", unless "refuse"),
    ``beat_seconds`` between two signs of life.
    """
    set_simulation(context.arguments.get("simulation", True))
    client = connect(context)
    try:
        WorkerProcess(context, Records(client[context.arguments["database"]])).run()
    finally:
        client.close()


class WorkerProcess:
    """Puts the parts of a worker together and takes them apart in the right order."""

    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._queue = queue_name(context.arguments["lab"], context.snapshot)
        document = describe(context, self._queue)
        self._watcher = Watcher(records.database, "requests", "tasks", "prompts")
        self._records = records
        self._lease = Lease(records, document, context.arguments.get("beat_seconds", BEAT_SECONDS))
        self._intake = Intake(context, records, self._watcher, self._lease)
        self._broker: dramatiq.Broker = make_broker(context.arguments["broker_url"])

    def run(self) -> None:
        read_from(ResultFiles(self._records.database).of)
        self._watcher.start()
        self._lease.start()  # before the first claim: whose worker is not on record counts as dead
        consumer = start_worker(self._broker, self._queue, self._intake.run_task, threads=2)
        log.info("Worker %s takes tasks from %s.", self._context.name, self._queue)
        try:
            handlers = {"tasks": self._intake.tasks, "retire": self._intake.retire}
            serve(self._context, handlers, self._intake.idle)
        finally:
            self._end(consumer)

    def _end(self, consumer: dramatiq.Worker) -> None:
        self._intake.close()
        self._lease.close()
        consumer.stop()
        self._broker.close()
        self._intake.join()
        self._lease.end()
        self._watcher.stop()


def connect(context: Context) -> MongoClient[Document]:
    """A client of the laboratory's database, which watches it little."""
    return MongoClient(
        context.arguments["mongo_uri"],
        tz_aware=True,
        heartbeatFrequencyMS=60_000,
        serverMonitoringMode="poll",
        appname=context.name,
    )


def describe(context: Context, queue: str) -> Worker:
    """The document of this process."""
    return Worker(
        _id=f"{context.name}-{context.instance[:8]}",
        snapshot=context.snapshot,
        queue=queue,
        identity=Identity.mine().to_dict(),
        instance=context.instance,
        address=address_of(context.listener),
        capacity=context.arguments.get("capacity", 128),
        running=0,
        beat=0,
        started_at=now(),
    )
