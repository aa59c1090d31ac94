"""A laboratory of 20 devices and 30 tasks: each edit changes the digests of the drivers it concerns, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.realistic_lab import REGISTRATION, Edit, RealisticLab, write
from hotswap.closure import Closure

pytestmark = pytest.mark.system

LAB = RealisticLab(devices=20, tasks=30)
EDITS: Mapping[str, list[Edit]] = defaultdict(list)
for _edit in LAB.edits():
    EDITS[_edit.kind].append(_edit)
ENOUGH = 6
"""Devices come in five families; the benchmark tries every edit."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    write(folder, LAB.files)
    return folder


def _digests(tree: Path, changed: Mapping[str, str]) -> dict[str, str]:
    """The digests with some files changed."""
    digests = write(tree, {**LAB.files, **changed})
    closure = Closure(tree, digests, registration=REGISTRATION)
    return {name: closure.verdict(name).digest for name in LAB.classes}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_changes_the_drivers_it_concerns_and_no_other(tree: Path, kind: str) -> None:
    before = _digests(tree, {})
    for edit in EDITS[kind][: None if kind == "a shared module" else ENOUGH]:
        after = _digests(tree, edit.changed)
        assert {name for name in LAB.classes if before[name] != after[name]} == edit.concerned, list(edit.changed)


def test_every_driver_is_read_closely(tree: Path) -> None:
    closure = Closure(tree, write(tree, LAB.files), registration=REGISTRATION)
    assert {(name, closure.verdict(name).why) for name in LAB.classes} == {(name, ()) for name in LAB.classes}


def test_the_lab_really_imports(tree: Path) -> None:
    write(tree, LAB.files)
    code = "import my_lab.devices as devices; print(len(devices.__all__))"
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert told.stdout == "20\n", told.stderr
