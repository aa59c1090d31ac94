"""What has become of code that ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hotswap.compare import compare
from hotswap.errors import HotswapError
from hotswap.generations import Generation
from hotswap.store import Store
from lab.catalog import Catalog, Definitions
from lab.provenance._attempts import CODE, picked
from lab.records import Document, Records


class Since:
    """Compares code that ran with generation ``current``, by the digests of what decides how it behaves."""

    def __init__(self, records: Records, catalog: Catalog, store: Store, current: Generation) -> None:
        self._records = records
        self._catalog = catalog
        self._store = store
        self._current = current
        self._now = catalog.get(current.snapshot)

    def tell(self, attempts: list[Document], versions: list[Document]) -> Document:
        """``{current, tasks, drivers, files}``: the task types and drivers that are ``changed`` or ``removed``, and
        for each version its files and environment, or why they are ``missing``.
        """
        return {
            "current": picked({**self._current.to_dict(), "generation": self._current.number}, CODE),
            "tasks": _unique(self._changed_tasks(attempts)),
            "drivers": _unique(self._changed_drivers(sorted({each["task"] for each in attempts}))),
            "files": [self._files(version) for version in versions],
        }

    def _changed_tasks(self, attempts: list[Document]) -> Iterator[Document]:
        """A subtask that is no task type of its own is part of the code of its parent."""
        for each in attempts:
            kind, before = each["type"], self._defined(each["snapshot"])
            if before is None or kind not in before.code:
                continue
            what = _what(before.code[kind], self._now.code.get(kind))
            if what is not None:
                facts = {"type": kind, "class": before.tasks[kind]["class"], "what": what}
                yield facts | picked(each, ("snapshot", "generation"))

    def _changed_drivers(self, tasks: list[str]) -> Iterator[Document]:
        """The drivers that the tasks called, by the digests that were noted with the calls."""
        which = {key: f"${key}" for key in ("device", "digest", "snapshot", "generation")}
        stages: list[Document] = [{"$match": {"task": {"$in": tasks}}}, {"$group": {"_id": which}}]
        called = [each["_id"] for each in self._records.calls.aggregate(stages)]
        for each in sorted(called, key=lambda call: (call["device"], call["generation"])):
            what = _what(each["digest"], self._now.drivers.get(each["device"]))
            if what is not None:
                before = self._defined(each["snapshot"])
                kind = before.devices[each["device"]]["class"] if before else None
                yield {
                    "device": each["device"],
                    "class": kind,
                    "what": what,
                    **picked(each, ("snapshot", "generation")),
                }

    def _defined(self, snapshot: str) -> Definitions | None:
        try:
            return self._catalog.get(snapshot)
        except KeyError:
            return None

    def _files(self, version: Document) -> Document:
        told = picked(version, ("snapshot", "generation"))
        if version["collected"] is not None:
            return told | {"missing": version["collected"]}
        try:
            before, after = self._store.open(version["snapshot"]), self._store.open(self._current.snapshot)
        except HotswapError as error:
            return told | {"missing": str(error)}
        return told | compare(before, after).to_dict()


def _what(before: str, after: str | None) -> str | None:
    """``changed``, ``removed``, or None when code behaves as it did."""
    if after is None:
        return "removed"
    return None if before == after else "changed"


def _unique(facts: Iterable[Document]) -> list[Document]:
    """Each once, in the order of their first mention."""
    found: list[Document] = []
    for each in facts:
        if each not in found:
            found.append(each)
    return found
