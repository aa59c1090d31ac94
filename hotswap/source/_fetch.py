"""What another repository has of a branch, brought into this one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from hotswap.errors import SourceError

_SECONDS: Final = 30.0
_ELSEWHERE: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")


def fetch(repo: Path, remote: str, branch: str) -> str:
    """Bring ``branch`` of ``remote`` up to date; returns the name of what it is here, as ``origin/main``.

    The working tree and the branches of this repository stay as they are. Nobody is asked for a password. Raises
    SourceError when the remote does not answer within 30 s, or refuses.
    """
    tracked = f"{remote}/{branch}"
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "fetch", "--quiet", "--no-tags", "--", remote, f"+refs/heads/{branch}:refs/remotes/{tracked}"]
    try:
        subprocess.run(
            command,
            cwd=repo,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=_SECONDS,
            start_new_session=True,  # without a terminal, ssh cannot ask either
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(tracked, f"no answer in {_SECONDS:g} s") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise _failed(tracked, said[0].removeprefix("fatal: ").rstrip(".")) from error
    except OSError as error:
        raise _failed(tracked, f"git cannot be run: {error.strerror}") from error
    return tracked


def _failed(tracked: str, reason: str) -> SourceError:
    return SourceError(
        f"{tracked} cannot be fetched ({reason}): see that `git fetch` works without a password, or name a revision "
        "that is here."
    )
