"""Programs that a test writes and runs."""

import subprocess
from pathlib import Path


def executable(path: Path, script: str) -> Path:
    """Write `script` as a program at `path`, in the place of one that is there.

    Another process writes it: a child that a thread of the test forks meanwhile would inherit the open file, and the
    system runs no program that somebody may write (ETXTBSY).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.new")
    command = ["sh", "-c", 'cat > "$0" && chmod 755 "$0" && mv "$0" "$1"', str(written), str(path)]
    subprocess.run(command, input=script, text=True, check=True)
    return path
