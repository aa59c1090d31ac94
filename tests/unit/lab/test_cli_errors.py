"""What goes wrong around a command line is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["lab.cli", "hotswap.cli"])
def test_a_command_line_can_be_run_as_a_module(module: str) -> None:
    run = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0
    assert "Usage:" in run.stdout
