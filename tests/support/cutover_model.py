"""What a reference model knows of a laboratory whose code changes: a few dicts."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.records import CLAIMED, ENDED, UNDECIDED, TaskStatus

PHASES = {
    **dict.fromkeys((TaskStatus.WAITING, TaskStatus.READY), "queued"),
    TaskStatus.INITIATED: "sent",
    **dict.fromkeys(CLAIMED, "running"),
    **dict.fromkeys(UNDECIDED, "lost"),
    **dict.fromkeys(ENDED, "ended"),
}


@dataclass
class Known:
    """What the model knows of a task: ``pin`` is a version, None until it is dispatched or moved."""

    kind: str
    phase: str = "queued"
    pin: int | None = None
    attempt: int = 0


@dataclass
class Model:
    """``live`` are the versions of all generations; ``wanted`` those that a refresh under way may make live."""

    live: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    tasks: dict[str, Known] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    fences: dict[str, int] = field(default_factory=dict)

    def among(self, *phases: str) -> list[str]:
        return [name for name, task in self.tasks.items() if task.phase in phases]
