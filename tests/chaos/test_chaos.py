"""Any process of a laboratory at work is killed, at any step of a cutover: nothing is lost or done twice."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from chaos_rounds import Load, attack
from chaos_strikes import KINDS, brief_plan

pytestmark = pytest.mark.system

KILLS = 20
SEED = int(os.environ.get("CHAOS_SEED", "4"))


@pytest.mark.timeout(400)
def test_a_laboratory_at_work_goes_on_whatever_is_killed(tmp_path: Path) -> None:
    """``make chaos`` does the same hundreds of times; with CHAOS_SEED this one is another run."""
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    chaos = attack(tmp_path, rng, brief_plan(rng, KILLS + len(KINDS)), KILLS, print, Load(before=2, after=1, blinks=4))
    killed = Counter(each.kind for each in chaos.striker.killed)
    assert set(killed) == set(KINDS)
    assert killed.total() >= KILLS
    assert chaos.ghosts > 0
