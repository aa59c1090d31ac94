"""Templates that somebody kills while they import or are asked: that says nothing about their code."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleets import Freeze, StartFleet

from hotswap.errors import DescribeError
from hotswap.fleet import Fleet
from hotswap.process import Identity

STARTS = "import os, signal\nwith open({log!r}, 'a') as log:\n    log.write('started\\n')\n"
"""Tells of each import in a file."""

TELLS_OF_ITS_FORK = """
import os

def told(package):
    with open({pipe!r}, "w") as pipe:
        pipe.write(str(os.getpid()))
    os.read(os.open({gate!r}, os.O_RDONLY), 1)
    return {{}}
"""
"""Says which process describes, and goes on when it is told to."""


def _template(fleet: Fleet) -> Identity:
    (found,) = (Identity.from_dict(each["identity"]) for each in fleet.processes() if each["kind"] == "template")
    return found


def test_a_template_killed_while_it_describes_is_replaced_and_its_fork_is_gone(
    start_fleet: StartFleet, freeze: Freeze, tmp_path: Path
) -> None:
    pipe, gate = tmp_path / "pipe", tmp_path / "gate"
    os.mkfifo(pipe)
    os.mkfifo(gate)
    fleet = start_fleet(hook="sample_app.teller:told")
    snapshot = freeze(1, teller=TELLS_OF_ITS_FORK.format(pipe=str(pipe), gate=str(gate)))
    with ThreadPoolExecutor() as pool:
        described = pool.submit(fleet.describe, snapshot)
        first = Identity.of(int(pipe.read_text()))
        _template(fleet).kill()
        second = int(pipe.read_text())
        gate.write_text("go on")
        assert described.result()["told"] == {}
    assert first.wait(5)
    assert second != first.pid


@pytest.mark.parametrize(
    ("end", "imports", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 3, r"signal 9 \(SIGKILL\)"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 3, r"signal 15 \(SIGTERM\)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 1, r"signal 11 \(SIGSEGV\)"),
        ("os._exit(7)", 1, "exit code 7"),
    ],
)
def test_what_ends_at_every_import_is_refused_at_the_third_and_what_its_code_ends_at_once(
    fleet: Fleet, freeze: Freeze, tmp_path: Path, end: str, imports: int, said: str
) -> None:
    log = tmp_path / "log"
    snapshot = freeze(1, extra=f"{STARTS.format(log=str(log))}\n{end}\n")
    with pytest.raises(DescribeError, match=rf"ended its process while it was imported \({said}\)"):
        fleet.describe(snapshot)
    assert log.read_text().splitlines() == ["started"] * imports
