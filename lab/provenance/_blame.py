"""Which code made which sample: from a sample to the code, and from code to its samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymongo import DESCENDING
from pymongo.cursor import Cursor

from hotswap.errors import HotswapError
from hotswap.generations import Generations
from hotswap.store import Store
from lab.catalog import Catalog
from lab.provenance._attempts import CODE, FIELDS, attempts_of, picked
from lab.provenance._since import Since
from lab.records import Document, Records
from lab.refusals import ConflictError, NotFoundError
from lab.samples import find_sample

_LIMIT: Final = 1000
_ORIGIN: Final = ("author", "message")


class Provenance:
    """Reads only. Of each code version it tells whether ``hotswap checkout`` can still fetch it back."""

    def __init__(self, records: Records, catalog: Catalog, generations: Generations, store: Store) -> None:
        self._records = records
        self._catalog = catalog
        self._generations = generations
        self._store = store

    def blame(self, name: str, *, since: bool = False) -> Document:
        """``{sample, tasks, versions}``: each attempt at a task that had the sample, and each code version they ran.

        ``name`` is the name of the sample or its id. With ``since``, that entry tells what of the code has changed up
        to the current version. Raises NotFoundError, or ConflictError when several samples have the name.
        """
        sample = find_sample(self._records, name)
        attempts = self._attempts({"samples": sample["_id"]})
        versions = self._versions(attempts)
        told: Document = {
            "sample": picked(sample, ("_id", "name", "experiment", "position")),
            "tasks": attempts,
            "versions": list(versions.values()),
        }
        return told | {"since": self._since(attempts, told["versions"])} if since else told

    def samples(self, version: str | None = None) -> list[Document]:
        """The newest thousand samples, or all that ``version`` had a part in; ``made_by`` has the attempts at tasks.

        ``version`` is an id of a snapshot or the beginning of one. Raises NotFoundError when no task ran it,
        ConflictError when several begin like that.
        """
        if version is None:
            listed = list(self._newest_first({}).limit(_LIMIT))
            attempts = self._attempts({"samples": {"$in": [sample["_id"] for sample in listed]}})
        else:
            attempts = self._attempts_of_version(self._resolve(version))
            touched = {sample for each in attempts for sample in each["samples"]}
            listed = list(self._newest_first({"_id": {"$in": sorted(touched)}}))
        made_by: dict[str, list[Document]] = {}
        for each in attempts:
            for sample in each["samples"]:
                made_by.setdefault(sample, []).append(picked(each, ("task", "type", "attempt", *CODE)))
        return [{**sample, "made_by": made_by.get(sample["_id"], [])} for sample in listed]

    def _newest_first(self, query: Document) -> Cursor[Document]:
        return self._records.database["samples"].find(query, sort=[("_id", DESCENDING)])

    def _attempts_of_version(self, snapshot: str) -> list[Document]:
        ran = {"$or": [{"pin.snapshot": snapshot}, {"attempts.snapshot": snapshot}]}
        return [each for each in self._attempts(ran) if each["snapshot"] == snapshot]

    def _attempts(self, query: Document) -> list[Document]:
        """In the order of their start, each with the author of its commit."""
        tasks = self._records.tasks.find(query, dict.fromkeys(FIELDS, 1))
        found = [attempt for task in tasks for attempt in attempts_of(task)]
        origins = self._origins({attempt["snapshot"] for attempt in found})
        for attempt in found:
            attempt.update(origins.get((attempt["snapshot"], attempt["commit"]), dict.fromkeys(_ORIGIN)))
        return sorted(found, key=lambda attempt: (str(attempt["started_at"]), attempt["task"]))

    def _resolve(self, version: str) -> str:
        used = [name for key in ("pin.snapshot", "attempts.snapshot") for name in self._records.tasks.distinct(key)]
        ran: set[str] = {name for name in used if name is not None and name.startswith(version)}
        if not ran:
            raise NotFoundError(f"No task ran a code version {version!r}; `lab versions` lists them.")
        if len(ran) > 1:
            raise ConflictError(f"{len(ran)} code versions begin with {version!r}; give more of the id.")
        return ran.pop()

    def _versions(self, attempts: Iterable[Document]) -> dict[str, Document]:
        """By snapshot, in the order of their first use."""
        versions: dict[str, Document] = {}
        for each in attempts:
            versions.setdefault(each["snapshot"], picked(each, (*CODE, *_ORIGIN)))
        for version in versions.values():
            version["collected"] = self._collected(version)
        return versions

    def _origins(self, snapshots: set[str]) -> dict[tuple[str, str | None], Document]:
        """By snapshot and commit, because several commits may have the same files."""
        told = self._records.refreshes.find({"snapshot": {"$in": sorted(snapshots)}, "author": {"$exists": True}})
        return {(each["snapshot"], each.get("commit")): picked(each, _ORIGIN) for each in told}

    def _collected(self, version: Document) -> str | None:
        """A sentence when the code cannot be fetched back any more."""
        try:
            self._store.resolve(version["snapshot"])
        except HotswapError:
            short = version["snapshot"][:12]
        else:
            return None
        event = self._records.events.find_one(
            {"kind": "version.collected", "subject": version["snapshot"]}, sort=[("_id", DESCENDING)]
        )
        when = f"was collected on {event['at']:%Y-%m-%d}" if event else "is not in the lab's store"
        if version["commit"] is None:
            return f"Code version {short} {when}; only its digests are known."
        rest = ", without the edits that were not committed" if version["dirty"] else ""
        return f"Code version {short} {when}; git may still have its commit {version['commit'][:8]}{rest}."

    def _since(self, attempts: list[Document], versions: list[Document]) -> Document:
        current = self._generations.current()
        if current is None:
            raise ConflictError("No code version is current, so there is nothing to compare with; see `lab versions`.")
        return Since(self._records, self._catalog, self._store, current).tell(attempts, versions)
