"""Where code was when it ended its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hotswap.process import crashes

ENDING = """
import os
from hotswap.process import crashes

with crashes.told():
    {inside}
{after}
"""


def place_of_end(folder: Path, inside: str, after: str = "") -> tuple[str, int] | None:
    script = folder / "ending.py"
    script.write_text(ENDING.format(inside=inside, after=after))
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False)
    return crashes.place(run.stderr, folder)


@pytest.mark.parametrize("ending", ["os._exit(7)", "import ctypes; ctypes.string_at(0)", "os.abort()"])
def test_the_line_that_ends_the_process_is_told(tmp_path: Path, ending: str) -> None:
    assert place_of_end(tmp_path, ending) == ("ending.py", 6)


@pytest.mark.parametrize(
    ("inside", "after"),
    [("pass", "os._exit(7)"), ("os.fork() or os._exit(7)", ""), ("os.kill(os.getpid(), 9)", "")],
    ids=["after the block", "of a fork", "from outside"],
)
def test_nothing_is_told_of_an_end(tmp_path: Path, inside: str, after: str) -> None:
    assert place_of_end(tmp_path, inside, after) is None


def test_the_innermost_line_below_the_tree_counts_and_the_last_writing() -> None:
    text = """Stack (most recent call first):
  File "/tree/lab/old.py", line 1 in <module>
Fatal Python error: Segmentation fault

Current thread 0x01 (most recent call first):
  File "/python/ctypes.py", line 3 in string_at
  File "/tree/lab/inner.py", line 20 in read
  File "/tree/lab/outer.py", line 3 in <module>
"""
    assert crashes.place(text, Path("/tree")) == ("lab/inner.py", 20)
    assert crashes.place(text, Path("/other")) is None
