"""The laboratory's part in a refresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from hotswap.errors import DescribeError, HotswapError, UnreachableError
from hotswap.generations import Generation, Generations, SnapshotState
from hotswap.snapshot import Snapshot
from hotswap.store import Store
from lab.catalog import Catalog, Definitions
from lab.managers.refresh._code import LabCode
from lab.managers.refresh._digests import Digests
from lab.managers.refresh._environment import EnvironmentPolicy
from lab.managers.refresh._gate import QueueGate
from lab.managers.refresh._plan import make_plan, outline, unfit
from lab.managers.refresh._policy import CodePolicy
from lab.managers.refresh._why import Why
from lab.records import Document, Records


class Fleet(Protocol):
    """The part of ``hotswap.fleet.FleetClient`` that is used here."""

    def describe(self, snapshot: str) -> Document: ...


_WHY: Final[Document] = {"devices": {}, "tasks": {}}
_NEEDED: Final = {SnapshotState.CURRENT, SnapshotState.DRAINING, SnapshotState.CLOSING, SnapshotState.STRANDED}


class LabParticipant:
    """Freezes the lab's code, has it described, and readies workers for it; see ``hotswap.cutover.Participant``."""

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        store: Store,
        code: LabCode,
        fleet: Fleet,
        policy: CodePolicy,
        environment: EnvironmentPolicy,
        ensure_worker: Callable[[str], None],
        end_worker: Callable[[str], bool],
        gate: QueueGate | None = None,
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._store = store
        self._code = code
        self._fleet = fleet
        self._policy = policy
        self._environment = environment
        self._ensure_worker = ensure_worker
        self._end_worker = end_worker
        self._gate = gate
        self._generations = Generations(records.database)

    def freeze(self, rev: str | None) -> Snapshot:
        return self._code.freeze(rev)

    def has_files_of(self, snapshot: Snapshot, other: str) -> bool:
        """Whether a snapshot has the same files as another one, whatever was installed. Raises UnknownSnapshotError."""
        return snapshot.id == other or snapshot.files == self._store.open(other).files

    def allow(self, snapshot: Snapshot) -> None:
        self._policy.check(snapshot)
        self._environment.check()

    def describe(self, snapshot: Snapshot) -> None:
        self._catalog.put(self._definitions(snapshot))

    def plan(self, snapshot: Snapshot) -> Document:
        definitions = self._catalog.get(snapshot.id)
        plan = make_plan(self._records, self._before(), (snapshot, definitions), self._unfit(definitions))
        self._policy.check_plan(plan, definitions)
        return plan

    def preview(self, snapshot: Snapshot) -> Document:
        """As ``plan``, and why each thing changes; what would be refused is listed under ``refused``.

        Nothing is written down.
        """
        before = self._before()
        try:
            self.allow(snapshot)
            definitions = self._definitions(snapshot)
        except UnreachableError:
            raise  # says nothing about the code
        except HotswapError as error:
            return {**outline(before[0] if before else None, snapshot), "why": _WHY, "refused": [_refusal(error)]}
        plan = make_plan(self._records, before, (snapshot, definitions), self._unfit(definitions))
        why = _WHY
        if before is not None and before[0].id != snapshot.id:
            changed = plan["devices"]["changed"], plan["tasks"]["changed"]
            why = Why(self._store, before[0], snapshot).tell(before[1], definitions, *changed)
        objections = self._policy.objections(plan, definitions)
        refused = [{"reason": reason, "path": None, "line": None} for reason in objections]
        return {**plan, "why": why, "refused": refused}

    def _unfit(self, definitions: Definitions) -> list[Document]:
        """The queued tasks that the code does not take, as ``{task, type, field, reason}``."""
        if self._gate is not None:
            return self._gate.unfit(definitions.snapshot)
        return unfit(self._records, definitions)

    def _before(self) -> tuple[Snapshot, Definitions] | None:
        current = self._generations.current()
        return (self._store.open(current.snapshot), self._catalog.get(current.snapshot)) if current else None

    def _definitions(self, snapshot: Snapshot) -> Definitions:
        told = self._fleet.describe(snapshot.id)["told"]
        digests = Digests(snapshot, self._store.tree(snapshot.id), self._store.root / "cache" / "closure")
        return Definitions(
            snapshot=snapshot.id,
            package=snapshot.package,
            devices=told["devices"],
            tasks=told["tasks"],
            positions=told["positions"],
            drivers=digests.drivers(told["devices"]),
            code=digests.tasks(told["tasks"]),
            templates=told["templates"],
            reroutes=told["reroutes"],
        )

    def warm_up(self, snapshot: Snapshot) -> None:
        if self._gate is not None:
            self._gate.note(snapshot.id)
        self._ensure_worker(snapshot.id)

    def warm_up_known(self, snapshot: str) -> None:
        """As ``warm_up``, for a snapshot that was live before."""
        self._environment.check_known(snapshot)
        if self._gate is not None:
            self._gate.note_known(snapshot)
        self._ensure_worker(snapshot)

    def meets_another_environment(self) -> bool:
        """At a launch: whether current code needs to be frozen again, with what is installed now."""
        return self._environment.launch()

    def dismiss(self, snapshot: str) -> None:
        """End what a snapshot that does not go live after all has running, unless it was live and is still needed."""
        if self._generations.states.state(snapshot) not in _NEEDED:
            self._end_worker(snapshot)

    def promoted(self, generation: Generation) -> None:
        if self._gate is not None:
            self._gate.settle(generation)
        self._records.log(
            "generation.live", str(generation.number), snapshot=generation.snapshot, commit=generation.commit
        )


def _refusal(error: HotswapError) -> Document:
    path, line = (error.path, error.line) if isinstance(error, DescribeError) else (None, None)
    return {"reason": str(error), "path": path, "line": line}
