"""The life of a process that runs one attempt at one task: told to end at once, it ends with its task."""

from __future__ import annotations

import logging
import threading

from hotswap.process import Context, serve
from lab.definitions import set_simulation
from lab.records import Records
from lab.results.large_result import read_from
from lab.results.result_files import ResultFiles
from lab.watching import Watcher
from lab.worker._actor import Intake
from lab.worker._lease import BEAT_SECONDS, Lease
from lab.worker._process import connect, describe

log = logging.getLogger(__name__)


def alone(context: Context) -> None:
    """Run the ``attempt`` at the ``task`` of ``context.arguments``, which are otherwise those of ``main``."""
    set_simulation(context.arguments.get("simulation", True))
    client = connect(context)
    try:
        _run(context, Records(client[context.arguments["database"]]))
    finally:
        client.close()


def _run(context: Context, records: Records) -> None:
    read_from(ResultFiles(records.database).of)
    watcher = Watcher(records.database, "requests", "tasks", "prompts")
    document = describe(context, queue="")
    document["capacity"] = 0  # it takes no other
    lease = Lease(records, document, context.arguments.get("beat_seconds", BEAT_SECONDS))
    intake = Intake(context, records, watcher, lease, alone=True)
    watcher.start()
    lease.start()  # before the claim: whose worker is not on record counts as dead
    attempt = context.arguments["task"], context.arguments["attempt"]
    begin = threading.Thread(target=intake.run_task, args=attempt, name="begin")
    begin.start()
    try:
        serve(context, {"tasks": intake.tasks, "retire": intake.retire}, intake.idle)
    finally:
        begin.join()
        intake.join()
        lease.end()
        watcher.stop()
