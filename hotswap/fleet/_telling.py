"""A process of a fleet as ``Fleet.processes`` tells of it."""

from __future__ import annotations

from typing import Any

from hotswap.fleet._memory import Start
from hotswap.process.runs import Run

Document = dict[str, Any]


def told_of_run(run: Run, deaths: int, why: str | None) -> Document:
    alive = run.identity.alive()
    return {
        "name": run.name,
        "kind": run.kind,
        "snapshot": run.snapshot,
        "entry": run.entry,
        "pid": run.identity.pid,
        "identity": run.identity.to_dict(),
        "address": list(run.address),
        "instance": run.instance,
        "alive": alive,
        "state": "ending" if run.ends else "running" if alive else "restarting",
        "deaths": deaths,
        "why": why,
        "spawned_because": run.spawned_because,
    }


def told_of_start(start: Start) -> Document:
    """Of one that waits for memory."""
    nothing = dict.fromkeys(("pid", "identity", "address", "instance"))
    return {
        "name": start.name,
        "kind": "process" if start.entry else "template",
        "snapshot": start.snapshot,
        "entry": start.entry,
        **nothing,
        "alive": False,
        "state": "queued",
        "deaths": 0,
        "why": start.waits,
        "spawned_because": [],
    }
