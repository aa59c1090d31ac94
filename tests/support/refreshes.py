"""A refresh manager whose code needs no repository: every revision is a snapshot."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from hotswap.environment import Environment
from hotswap.errors import HotswapError
from hotswap.generations import Generations
from hotswap.snapshot import FileEntry, Origin, Snapshot
from hotswap.store import Store
from lab.managers.refresh import LabCode, RefreshManager
from lab.records import Records
from lab.settings.config import load


class Participant:
    """Every revision is a snapshot; describing one named ``slow`` waits for the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.describing = threading.Event()
        self.head = "head"
        self.described: list[str] = []
        self.failure: HotswapError | None = None
        self.no_way_back: Exception | None = None
        self.other_environment = False
        self.same_files: dict[str, str] = {}

    def freeze(self, rev: str | None) -> Snapshot:
        content = (rev or self.head).encode().hex().ljust(64, "0")[:64]
        entry = FileEntry("app/__init__.py", 0o644, 1, content)
        return Snapshot.of("app", (entry,), Environment("cp311", ()), Origin(commit=rev, dirty=False))

    def has_files_of(self, snapshot: Snapshot, other: str) -> bool:
        return snapshot.id in (other, self.same_files.get(other))

    def allow(self, snapshot: Snapshot) -> None:
        pass

    def describe(self, snapshot: Snapshot) -> None:
        self.described.append(str(snapshot.origin.commit))
        if self.failure is not None:
            raise self.failure
        if snapshot.origin.commit == "slow":
            self.describing.set()
            assert self.gate.wait(10)

    def plan(self, snapshot: Snapshot) -> dict[str, Any]:
        return {"drain_set": []}

    def preview(self, snapshot: Snapshot) -> dict[str, Any]:
        return {**self.plan(snapshot), "refused": []}

    def warm_up(self, snapshot: Snapshot) -> None:
        pass

    def warm_up_known(self, snapshot: str) -> None:
        if self.no_way_back is not None:
            raise self.no_way_back

    def meets_another_environment(self) -> bool:
        return self.other_environment

    def dismiss(self, snapshot: str) -> None:
        pass

    def promoted(self, generation: object) -> None:
        pass


def refresh_manager(
    folder: Path, records: Records, participant: Participant, settings: str = "", barrier: Any = None
) -> RefreshManager:
    (folder / "my_lab").mkdir(exist_ok=True)
    (folder / "my_lab" / "__init__.py").touch()
    (folder / "lab.toml").write_text(settings)
    config = load(folder, {"LAB_STATE_DIR": str(folder / "state")})
    code = LabCode(config, Store(folder / "store"))
    return RefreshManager(config, records, code, participant, barrier)  # type: ignore[arg-type]


def restarted(folder: Path, manager: RefreshManager, records: Records, participant: Participant) -> int:
    """The current generation after a restart with auto_refresh."""
    manager.stop()
    second = refresh_manager(folder, records, participant, "[general]\nauto_refresh = true\n")
    second.start()
    second.stop()
    current = Generations(records.database).current()
    assert current is not None
    return current.number
