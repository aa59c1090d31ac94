"""Queued tasks, examined: constructed and validated with the code that is to run them, in a fork of its template."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from lab.records import Document, Examined, Records, Task, TaskStatus

HOOK: Final = "lab.definitions:examine"
QUEUED: Final[Document] = {"status": {"$in": [TaskStatus.WAITING, TaskStatus.READY]}, "pin": None, "parent": None}
"""What will run whatever code is current by then."""

Ask = Callable[[str, str, Document], Document]


class Examiner:
    """``ask`` is ``hotswap.fleet.FleetClient.ask``: it takes (snapshot, hook, question)."""

    def __init__(self, records: Records, ask: Ask) -> None:
        self._records = records
        self._ask = ask

    def objections(
        self, snapshot: str, tasks: Iterable[Task], names: Mapping[str, str] | None = None
    ) -> dict[str, Document]:
        """``{field, reason}`` by the id of each task that does not fit; alike ones are constructed once.

        ``names`` are those of samples that are not stored yet, by id. Raises DescribeError when the code ends its
        process or passes a limit meanwhile.
        """
        alike: defaultdict[str, list[Task]] = defaultdict(list)
        for task in tasks:
            alike[_likeness(task)].append(task)
        if not alike:
            return {}
        asked = [self._question(group[0], names) for group in alike.values()]
        answers = self._ask(snapshot, HOOK, {"tasks": asked})["objections"]
        return {
            task["_id"]: answer
            for answer, group in zip(answers, alike.values(), strict=True)
            if answer
            for task in group
        }

    def note(self, snapshot: str, tasks: Iterable[Task], objections: dict[str, Document]) -> None:
        """Write beside each task what came of it, and why it will be held if that snapshot is to run it."""
        groups: defaultdict[str | None, list[str]] = defaultdict(list)
        for task in tasks:
            objection = objections.get(task["_id"])
            groups[objection["reason"] if objection else None].append(task["_id"])
        for reason, ids in groups.items():
            examined = Examined(snapshot=snapshot, reason=reason)
            self._records.tasks.update_many({**QUEUED, "_id": {"$in": ids}}, {"$set": {"examined": examined}})

    def _question(self, task: Task, names: Mapping[str, str] | None) -> Document:
        if names is None:
            samples = (
                self._records.samples.find({"_id": {"$in": task["samples"]}}, {"name": 1}) if task["samples"] else ()
            )
            names = {each["_id"]: each["name"] for each in samples}
        return {
            "type": task["type"],
            "parameters": task["parameters"],
            "samples": [names[each] for each in task["samples"] if each in names],
        }


def _likeness(task: Task) -> str:
    return json.dumps([task["type"], task["parameters"], len(task["samples"])], sort_keys=True, default=str)
