"""The tests prove themselves: with one line of the product broken, the test that guards it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from products import NO_SECOND_LOOK, Edit, copy_product, edited, misfits


@dataclass(frozen=True)
class Mutant:
    """With the edit the test ``guard`` must fail."""

    name: str
    edit: Edit
    guard: str


MACHINE = "tests/system/test_cutover_machine.py::test_generations_pins_and_bindings_are_what_the_model_says"

MUTANTS = [
    Mutant(
        "a snapshot is published without fsync",
        Edit(
            "hotswap/_disk.py",
            "    fsync(temporary)\n",
            "",
        ),
        "tests/system/test_store_power_loss.py::test_a_manifest_gets_its_name_when_everything_else_is_safe",
    ),
    Mutant(
        "a snapshot is published without rename",
        Edit(
            "hotswap/store/_manifests.py",
            "_disk.replace(str(self.path(record.snapshot.id)), record.to_bytes(), str(self._staging))",
            "_disk.write(str(self.path(record.snapshot.id)), record.to_bytes())",
        ),
        "tests/system/test_store_power_loss.py::test_whatever_a_disk_forgets_there_is_all_of_a_snapshot_or_nothing",
    ),
    Mutant(
        "a collection forgets the newest reference",
        Edit(
            "hotswap/store/_retention.py",
            "dict.fromkeys(given, ",
            "dict.fromkeys(list(given)[:-1], ",
        ),
        "tests/unit/hotswap/test_store_collect.py::test_every_reference_is_kept_whole_the_newest_too",
    ),
    Mutant(
        "a process is adopted by its pid alone",
        Edit(
            "hotswap/process/identity.py",
            "return _start_time(self.pid) == self.start_time",
            "return _start_time(self.pid) >= 0",
        ),
        "tests/system/fleet/test_fleet_adoption.py::test_a_process_that_got_the_number_of_another_is_not_adopted_nor_ended",
    ),
    Mutant(
        "a task is claimed whatever its pin",
        Edit(
            "lab/worker/_actor.py",
            '            "pin.snapshot": self._context.snapshot,\n',
            "",
        ),
        "tests/system/runtime/test_worker.py::test_a_task_that_is_pinned_to_another_version_is_not_claimed",
    ),
    Mutant(
        "a task is dispatched without the second look at what is current",
        Edit(
            "lab/managers/tasks.py",
            *NO_SECOND_LOOK,
        ),
        "tests/system/managers/test_managers.py::test_a_generation_that_moves_during_dispatch_is_noticed",
    ),
    Mutant(
        "a generation that is left is not filed",
        Edit(
            "hotswap/generations/_mongo.py",
            "        self._file(previous)\n",
            "",
        ),
        MACHINE,
    ),
    Mutant(
        "a snapshot is drained though a device is bound to it",
        Edit(
            "lab/managers/refresh/_retirement.py",
            "return self._records.devices.find_one(bound) is not None",
            "return False",
        ),
        MACHINE,
    ),
]


def run(tree: Path, guard: str) -> subprocess.CompletedProcess[str]:
    """The guard's tests, run against the product in ``tree``."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", "--timeout", "100", guard]
    environment = {**os.environ, "PYTHONPATH": str(tree), "HYPOTHESIS_PROFILE": "short"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_product(tmp_path_factory.mktemp("product"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_each_edit_fits_the_product(mutant: Mutant) -> None:
    assert misfits(mutant.edit) == []


@pytest.mark.system
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_caught_by_the_test_that_guards_it(tree: Path, mutant: Mutant) -> None:
    sound = run(tree, mutant.guard)
    assert sound.returncode == pytest.ExitCode.OK, sound.stdout + sound.stderr
    with edited(tree, mutant.edit):
        broken = run(tree, mutant.guard)
    assert broken.returncode == pytest.ExitCode.TESTS_FAILED, broken.stdout + broken.stderr
