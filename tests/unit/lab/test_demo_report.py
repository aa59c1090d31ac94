"""What the demo prints can be read without a terminal and holds every figure; what it leaves running is found."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from lab.demo.facts import DeviceFacts, GenerationFacts, TaskFacts
from lab.demo.narration import Narrator
from lab.demo.processes import belonging_to, end_all
from lab.demo.report import show_devices, show_generations, show_tasks
from lab.demo.repository import Commit
from lab.demo.timing import Timing

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(printed: io.StringIO) -> Console:
    return Console(file=printed, width=200, highlight=False)


def test_each_line_tells_the_seconds_since_the_beginning(console: Console, printed: io.StringIO) -> None:
    narrator = Narrator(console, began=AT)
    narrator.tell(AT + timedelta(seconds=12.34), "furnace_1 connected")
    assert printed.getvalue() == " 12.34 s       · furnace_1 connected\n"


def test_steps_are_numbered(console: Console, printed: io.StringIO) -> None:
    Narrator(console).step(3, "A title")
    assert printed.getvalue().endswith("s  3. A title\n")


def test_square_brackets_are_text(console: Console, printed: io.StringIO) -> None:
    Narrator(console).say("made ['a']")
    assert "made ['a']" in printed.getvalue()


def test_the_table_of_tasks_holds_every_figure(console: Console, printed: io.StringIO) -> None:
    task = TaskFacts("long", "Heating", "COMPLETED", 3, "c" * 40, "d" * 64, ("LOST", "COMPLETED"), 2)
    show_tasks(console, [task])
    row = printed.getvalue().splitlines()[-1].split()
    assert row == ["long", "Heating", "COMPLETED", "3", "c" * 12, "d" * 12, "LOST,", "COMPLETED", "2"]


def test_the_table_of_devices_holds_every_figure(console: Console, printed: io.StringIO) -> None:
    show_devices(
        console, [DeviceFacts("arm", "free", 4, 3, 7, "d" * 64), DeviceFacts("mill", "retired", 1, 1, None, None)]
    )
    rows = [line.split() for line in printed.getvalue().splitlines()[-2:]]
    assert rows == [["arm", "free", "4", "3", "7", "d" * 12], ["mill", "retired", "1", "1", "-", "-"]]


def test_the_table_of_generations_tells_how_each_went_live(console: Console, printed: io.StringIO) -> None:
    commit = Commit("b" * 40, "change", AT)
    timing = Timing(commit, "live", 2, {"detected": AT, "promoted": AT + timedelta(seconds=0.31)})
    generations = [
        GenerationFacts(1, "a" * 40, "d" * 64, None),
        GenerationFacts(2, "b" * 40, "e" * 64, None),
        GenerationFacts(3, "a" * 40, "d" * 64, 1),
    ]
    show_generations(console, generations, [timing], rollback=0.25)
    rows = [line.split()[3:] for line in printed.getvalue().splitlines()[-3:]]
    assert rows[0] == ["launch", "-"]
    assert rows[1] == ["commit", "0.31", "s", "detected", "0", "ms,", "promoted", "310", "ms"]
    assert rows[2] == ["rollback", "to", "1", "0.25", "s"]


def test_processes_that_carry_the_state_folder_are_found_and_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    environment = {**os.environ, "LAB_STATE_DIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert [process.identity.pid for process in belonging_to(tmp_path)] == [child.pid]
        assert [process.identity.pid for process in end_all(tmp_path)] == [child.pid]
        assert child.wait() != 0
    assert belonging_to(tmp_path) == []
