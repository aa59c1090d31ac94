"""Stops the managers of a laboratory under test exactly where they write down a step, before or after the write.

Python imports a module of this name at its start, from PYTHONPATH. It listens to the database commands of the managers.
When one writes the step that the file ``armed`` in the folder CHAOS_TRAP names, that file is renamed to ``sprung``, and
the thread waits until it is gone: meanwhile the test kills whatever it means to.
"""

from __future__ import annotations

import os
import sys

if "lab.server" in sys.orig_argv and "CHAOS_TRAP" in os.environ:
    import json
    import time
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from pymongo import monitoring

    FOLDER = Path(os.environ["CHAOS_TRAP"])
    LONGEST_SECONDS = 20.0

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
            elif collection == "devices":
                hand_over = change.get("hand_over") or {}
                step = change.get("hand_over.step") or hand_over.get("step")
                if step is not None:
                    yield f"rebinding:{step}"
                elif "binding" in change and change.get("state") == "free":
                    yield "rebinding:bound"

    class Trap(monitoring.CommandListener):
        """Remembers the write that it was armed for until the answer to it is there."""

        def __init__(self) -> None:
            self._meant: set[int] = set()

        def started(self, event: monitoring.CommandStartedEvent) -> None:
            armed = FOLDER / "armed"
            if event.command_name not in ("update", "insert") or not armed.exists():
                return
            try:
                wanted = json.loads(armed.read_text())
            except (OSError, ValueError):  # another thread was faster
                return
            if wanted["step"] in map(str, steps(event.command, str(event.command[event.command_name]))):
                if wanted["edge"] == "before":
                    spring()
                else:
                    self._meant.add(event.request_id)

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            if event.request_id in self._meant:
                self._meant.discard(event.request_id)
                spring()

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            self._meant.discard(event.request_id)

    def spring() -> None:
        sprung = FOLDER / "sprung"
        try:
            (FOLDER / "armed").rename(sprung)
        except FileNotFoundError:
            return
        deadline = time.monotonic() + LONGEST_SECONDS
        while sprung.exists() and time.monotonic() < deadline:
            time.sleep(0.002)

    monitoring.register(Trap())
