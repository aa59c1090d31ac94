"""Many processes work on one store at once: nothing is lost, nothing is half visible, nothing goes that is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import store_crowd
from held_source import debris

from hotswap.store import Retention, Store

pytestmark = pytest.mark.system

MEMBERS = 8


def test_eight_processes_freeze_use_read_hold_and_collect_at_once(tmp_path: Path) -> None:
    store = crowd(tmp_path, rounds=30)
    assert store.list()
    assert store.verify() == []
    store.collect(retention=Retention(keep_last=0, keep_days=0))
    assert debris(store) == []


@pytest.mark.long
def test_eight_processes_work_on_one_store_for_long(tmp_path: Path) -> None:
    for number in range(20):
        assert crowd(tmp_path / str(number), rounds=200).verify() == []


def crowd(folder: Path, rounds: int) -> Store:
    folder.mkdir(exist_ok=True)
    program = Path(store_crowd.__file__)
    arguments = [[sys.executable, program, folder, str(number), str(rounds)] for number in range(MEMBERS)]
    members = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in arguments]
    told = [member.communicate(timeout=100)[1] for member in members]
    assert [member.returncode for member in members] == [0] * MEMBERS, "\n".join(told)
    return Store(folder / "store")
