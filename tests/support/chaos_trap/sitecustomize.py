"""Stops a laboratory under test where it writes down a step: before that, after it, or done and not answered yet.

Python imports a module of this name at its start, from PYTHONPATH. It listens to the database commands of the managers
and of what the zygote starts. When one writes the step that the file ``armed`` in the folder CHAOS_TRAP names, that
file is renamed to ``sprung``, and the thread waits until it is gone: meanwhile the test kills whatever it means to.
"""

from __future__ import annotations

import os
import sys

if "CHAOS_TRAP" in os.environ and {"lab.server", "hotswap.process.zygote"}.intersection(sys.orig_argv):
    import json
    import time
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from pymongo import MongoClient, monitoring

    FOLDER = Path(os.environ["CHAOS_TRAP"])
    DATABASE = Path(os.environ["LAB_STATE_DIR"]) / "run" / "database.json"
    LONGEST_SECONDS = 20.0
    STATUSES = {
        ("tasks", "INITIATED"): "work:initiated",
        ("tasks", "RUNNING"): "work:running",
        ("tasks", "COMPLETED"): "work:completed",
        ("tasks", "LOST"): "work:lost",
        ("requests", "FULFILLED"): "grant:fulfilled",
        ("requests", "NEED_RELEASE"): "grant:given_back",
        ("requests", "RELEASED"): "grant:released",
    }

    def changes(command: Any) -> Iterator[dict[str, Any]]:
        """What a command writes, as documents or the fields that it sets."""
        yield from command.get("documents", ())
        for update in command.get("updates", ()):
            yield update["u"].get("$set", update["u"])

    def steps(command: Any, collection: str) -> Iterator[str]:
        """The steps that a command writes down, as ``rebinding:exporting``."""
        for change in changes(command):
            if collection == "refreshes" and change.get("steps"):
                yield f"refresh:{change['steps'][-1]['step']}"
            elif collection == "current_generation":
                yield "refresh:current"
            elif collection == "barriers" and "step" in change:
                yield f"barrier:{change['step']}"
            elif collection == "samples" and "position" in change and "name" not in change:
                yield "work:moved"
            elif collection == "devices":
                yield from device_steps(change)
            else:
                yield STATUSES.get((collection, str(change.get("status"))), "")

    def device_steps(change: dict[str, Any]) -> Iterator[str]:
        hand_over = change.get("hand_over") or {}
        step = change.get("hand_over.step") or hand_over.get("step")
        if step is not None:
            yield f"rebinding:{step}"
        elif "binding" in change and change.get("state") == "free":
            yield "rebinding:bound"
        elif change.get("state") == "granted":
            yield "grant:taken"

    class Trap(monitoring.CommandListener):
        """Remembers the write that it was armed for until the answer to it is there."""

        def __init__(self) -> None:
            self._meant: set[int] = set()

        def started(self, event: monitoring.CommandStartedEvent) -> None:
            if event.command_name not in ("update", "insert"):
                return
            edge = wanted(event.command, str(event.command[event.command_name]))
            if edge == "after":
                self._meant.add(event.request_id)
            elif edge is not None:
                spring(event if edge == "unanswered" else None)

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            if event.request_id in self._meant:
                self._meant.discard(event.request_id)
                spring(None)

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            self._meant.discard(event.request_id)

    def wanted(command: Any, collection: str) -> str | None:
        """The edge at which a command is meant; None for one that is not."""
        try:
            armed = json.loads((FOLDER / "armed").read_text())
        except (OSError, ValueError):
            return None
        return armed["edge"] if armed["step"] in steps(command, collection) else None

    def spring(unanswered: monitoring.CommandStartedEvent | None) -> None:
        springing, sprung = FOLDER / "springing", FOLDER / "sprung"
        try:
            (FOLDER / "armed").rename(springing)
        except FileNotFoundError:  # another thread was faster
            return
        if unanswered is not None:
            execute(unanswered)
        springing.rename(sprung)
        deadline = time.monotonic() + LONGEST_SECONDS
        while sprung.exists() and time.monotonic() < deadline:
            time.sleep(0.002)

    def execute(event: monitoring.CommandStartedEvent) -> None:
        """Do now what the command will find done, if the database lives until then."""
        fields = {
            key: event.command[key] for key in (event.command_name, "updates", "documents") if key in event.command
        }
        with MongoClient(json.loads(DATABASE.read_text())["url"]) as client:
            client[event.database_name].command({**fields, "writeConcern": {"j": True}})

    monitoring.register(Trap())
