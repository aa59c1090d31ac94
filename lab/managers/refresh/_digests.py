"""Driver digests: what decides how each device's driver behaves, as one hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from blake3 import blake3

from hotswap.closure import Closure
from hotswap.environment import selector
from hotswap.snapshot import Snapshot
from lab.records import Document

REGISTRATION: Final = frozenset(
    f"{module}.{name}"
    for module in ("lab", "lab.definitions")
    for name in (
        "add_device",
        "add_task",
        "add_experiment_template",
        "add_reroute_task",
        "add_standalone_sample_position",
        "SamplePosition",
        "log_signal",
        "mock",
        "value_in_database",
    )
)
"""Calls of these only record what they are given; the arguments of devices are hashed here."""


class Digests:
    """Of the classes of one snapshot, whose tree is at ``tree``; ``cache`` remembers parsed files across snapshots."""

    def __init__(self, snapshot: Snapshot, tree: Path, cache: Path) -> None:
        files = {entry.path: entry.digest for entry in snapshot.files}
        self._closure = Closure(tree, files, registration=REGISTRATION, cache=cache)
        self._environment_behind = selector(snapshot.environment)
        self._codes: dict[str, str] = {}

    def drivers(self, devices: Document) -> dict[str, str]:
        """Device -> digest of its class's code, its constructor arguments, its share group, and what it imports."""
        return {name: self._driver(device) for name, device in devices.items()}

    def tasks(self, tasks: Document) -> dict[str, str]:
        """Task type -> digest of its code and of what it imports."""
        return {name: self._code(task["class"]) for name, task in tasks.items()}

    def _driver(self, device: Document) -> str:
        parts = [self._code(device["class"]), device["args"], device["kwargs"], device["group"]]
        return blake3(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _code(self, class_name: str) -> str:
        if class_name not in self._codes:
            verdict = self._closure.verdict(class_name)
            used = self._environment_behind(verdict.imports).digest
            self._codes[class_name] = blake3(f"{verdict.digest}:{used}".encode()).hexdigest()
        return self._codes[class_name]
