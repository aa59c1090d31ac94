"""What the tests record of a freeze are the system calls that the kernel sees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools import REQUIRED, skipped_if

pytestmark = [pytest.mark.system, skipped_if(None if shutil.which("strace") else "strace is not installed")]

PROGRAM = """
import json, sys
from pathlib import Path
from held_source import EMPTY, version
from power_loss import Recorder
from hotswap.store import Store

root = Path(sys.argv[1])
recorder = Recorder(root)
with recorder.recording(flush=True):
    Store(root / "store").freeze(version(1), EMPTY, hold="paper 12")
facts = [[str(fact) for fact in event if isinstance(fact, str)] for event in recorder.events]
(root / "events.json").write_text(json.dumps(facts))
"""
KINDS = ("fsync", "rename", "link", "mkdir", "unlink")
CALL = re.compile(rf"^\d* *({'|'.join(KINDS)})\((.*)\) += 0$")


def test_flushes_and_renames_are_real_and_in_the_recorded_order(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    traced = ["strace", "-f", "-y", "-s", "4096", "-o", str(trace), "-e", f"trace={','.join(KINDS)}"]
    done = subprocess.run(
        [*traced, sys.executable, "-c", PROGRAM, tmp_path],
        env={"PYTHONPATH": str(Path(__file__).parents[1] / "support")},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr and not REQUIRED:
        pytest.skip("this system does not allow to trace")
    assert done.returncode == 0, done.stderr
    recorded = [event for event in json.loads((tmp_path / "events.json").read_text()) if event[0] in KINDS]
    assert calls(trace.read_text(), tmp_path) == recorded
    assert len([one for one in recorded if one[0] == "fsync"]) > 10


def calls(trace: str, root: Path) -> list[list[str]]:
    """Name and paths of the traced calls that work below ``root``."""
    path = re.compile(rf'["<]{re.escape(str(root))}/?([^">]*)')
    matches = (CALL.match(line) for line in trace.splitlines())
    return [[match[1], *path.findall(match[2])] for match in matches if match and path.search(match[2])]
