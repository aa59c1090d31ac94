"""The checker of the chaos tests proves itself: it notices when the product is broken, in five ways."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos import VIOLATED
from products import NO_SECOND_LOOK, Edit, copy_product, edited, misfits

KILLS = 50
SEED = 7


@dataclass(frozen=True)
class Mutant:
    """``says`` is what the checker may call what is wrong then."""

    name: str
    edits: tuple[Edit, ...]
    says: tuple[str, ...]


MUTANTS = [
    Mutant(
        "no second look at what is current",
        (Edit("lab/managers/tasks.py", *NO_SECOND_LOOK),),
        ("order: ",),
    ),
    Mutant(
        "no check of the fence when a call is executed",
        (Edit("lab/drivers/_slot.py", "if call.fence != self._granted:", "if self._granted == ():"),),
        ("blocks: ",),
    ),
    Mutant(
        "a grant before the new driver is there",
        (
            Edit(
                "lab/managers/choice.py",
                'if binding is None or binding["digest"] != self.definitions.drivers.get(name):',
                "if binding is None:",
            ),
            Edit(
                "lab/managers/grants.py",
                'binding is None or binding["digest"] != definitions.drivers[name]:',
                "binding is None:",
            ),
        ),
        ("wrong_drivers: ",),
    ),
    Mutant(
        "a lease by the clock on the wall",
        (
            Edit("lab/worker/_lease.py", "BEAT_SECONDS: Final = 10.0", "BEAT_SECONDS: Final = 0.5"),
            Edit("lab/worker/_lease.py", '{"$inc": {"beat": 1}}', '{"$currentDate": {"started_at": True}}'),
            Edit(
                "lab/managers/workers.py",
                "            if instance in self._dead:\n",
                '            if (now() - worker["started_at"]).total_seconds() > 1.5:\n                continue\n'
                "            if instance in self._dead:\n",
            ),
        ),
        ("unproved_losses: ", "lost_tasks: "),  # who is taken for dead is not watched, should he die later
    ),
    Mutant(
        "a barrier that counts what is RUNNING only",
        (
            Edit(
                "lab/managers/_barrier_blockers.py",
                "AT_WORK: Final = (TaskStatus.INITIATED, *CLAIMED, TaskStatus.FINISHING)",
                "AT_WORK: Final = (TaskStatus.RUNNING,)",
            ),
            Edit("lab/managers/_barrier_blockers.py", "return holding | {", "return frozenset() | {"),
        ),
        ("overlaps: ",),
    ),
]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_product(tmp_path_factory.mktemp("product"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_each_edit_fits_the_product(mutant: Mutant) -> None:
    assert misfits(*mutant.edits) == []


@pytest.mark.system
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_laboratory_itself_is_not_found_out(product: Path) -> None:
    run = _attack(product)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.system
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_broken_laboratory_is_found_out_within_fifty_kills(product: Path, mutant: Mutant) -> None:
    with edited(product, *mutant.edits):
        run = _attack(product)
    assert run.returncode == VIOLATED, run.stdout + run.stderr
    assert any(word in run.stderr for word in mutant.says), run.stderr


def _attack(product: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/support/chaos.py", "--kills", str(KILLS), "--seed", str(SEED)]
    environment = {**os.environ, "PYTHONPATH": str(product)}
    return subprocess.run(command, cwd=product, env=environment, capture_output=True, text=True, check=False)
