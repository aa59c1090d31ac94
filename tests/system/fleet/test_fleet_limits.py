"""An import that uses too much is stopped, and told which limit it passed and where."""

from __future__ import annotations

import pytest
from fleets import ENTRY, Freeze, StartFleet, ask

from hotswap.errors import DescribeError
from hotswap.fleet import Limits

pytestmark = pytest.mark.system

HUGE = "x = 1\ny = bytearray(1 << 30)\n"
BUSY = "while True:\n    pass\n"
HOARDS = "x = 1\nfiles = [open(__file__) for _ in range(100)]\n"
WRAPPED = "try:\n    y = bytearray(1 << 30)\nexcept MemoryError as error:\n    raise ImportError('no') from error\n"


@pytest.mark.parametrize(
    ("text", "limits", "limit", "line"),
    [
        (BUSY, Limits(seconds=0.5), "0.5 s of time", (1, 2)),
        (BUSY, Limits(seconds=60, cpu_seconds=1), "1 s of processor time", (1, 2)),
        (HUGE, Limits(memory_mb=600), "600 MB of memory", (2,)),
        (HOARDS, Limits(open_files=64), "64 open files", (2,)),
        (WRAPPED, Limits(memory_mb=600), "600 MB of memory", (4,)),
        ("import threading\nthreading.Event().wait()\n", Limits(seconds=0.5), "0.5 s of time", (2,)),
    ],
    ids=["time", "processor time", "memory", "open files", "memory, in disguise", "time, waiting"],
)
def test_the_limit_that_an_import_passes_is_told_with_file_and_line(
    start_fleet: StartFleet, freeze: Freeze, text: str, limits: Limits, limit: str, line: tuple[int, ...]
) -> None:
    with pytest.raises(DescribeError, match=f"passed the limit of {limit} in sample_app/greedy.py") as caught:
        start_fleet(limits=limits).describe(freeze(1, greedy=text))
    assert caught.value.path == "sample_app/greedy.py"
    assert caught.value.line in line


@pytest.mark.parametrize(
    ("text", "limits", "limit"),
    [
        ("def told(package):\n    return {'y': len(bytearray(1 << 30))}\n", Limits(memory_mb=600), "600 MB of memory"),
        ("def told(package):\n    while True:\n        pass\n", Limits(seconds=0.5), "0.5 s of time"),
        pytest.param(
            "def told(package):\n    while True:\n        pass\n",
            Limits(cpu_seconds=1),
            "1 s of processor time",
            marks=pytest.mark.long,
        ),
        (
            "def told(package):\n    return {'y': [open(__file__) for _ in range(99)]}\n",
            Limits(open_files=64),
            "64 open",
        ),
    ],
    ids=["memory", "time", "processor time", "open files"],
)
def test_the_limits_hold_while_a_snapshot_describes_itself(
    start_fleet: StartFleet, freeze: Freeze, text: str, limits: Limits, limit: str
) -> None:
    with pytest.raises(DescribeError, match=f"passed the limit of {limit}.* in sample_app/teller.py"):
        start_fleet(limits=limits, hook="sample_app.teller:told").describe(freeze(1, teller=text))


def test_native_code_that_cannot_be_interrupted_is_ended(
    start_fleet: StartFleet, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap.fleet._templates._MARGIN_SECONDS", 0.2)
    stuck = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True:\n    pass\n"
    with pytest.raises(DescribeError, match=r"took longer than 0.3 s to import and could not be interrupted"):
        start_fleet(limits=Limits(seconds=0.3)).describe(freeze(1, stuck=stuck))


def test_work_may_use_more_than_an_import(start_fleet: StartFleet, freeze_either_at_length: Freeze) -> None:
    fleet = start_fleet(limits=Limits(memory_mb=400, open_files=64))
    assert ask(fleet.ensure("one", freeze_either_at_length(1), ENTRY, {"mb": 450}), "ballast") == 450 << 20
