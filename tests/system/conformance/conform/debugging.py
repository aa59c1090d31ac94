"""What a person sees of a version process: its log, its errors, and what a breakpoint does."""

import logging
import os
import threading
from pathlib import Path

VERSION = "v1"

log = logging.getLogger(__name__)


def logged(action):
    """The lines that an action adds to the log of this process."""
    path = Path("/proc/self/fd/2").readlink()
    before = path.stat().st_size
    globals()[action]()
    with path.open() as stream:
        stream.seek(before)
        return stream.read().splitlines()


def say():
    log.info("something")


def show():
    print("printed by v1")


def show_unfinished():
    """Print no whole line; tells where it will stand."""
    print("unfinished in v1", end="")
    return str(Path("/proc/self/fd/1").readlink())


def fail():
    raise ValueError("of v1")  # this line is of v1


def fail_in_thread():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def stop():
    breakpoint()


def stop_in_debugger(named):
    """With a debugger named for it, as somebody would before the start."""
    os.environ["PYTHONBREAKPOINT"] = named
    try:
        return breakpoint(VERSION)
    finally:
        del os.environ["PYTHONBREAKPOINT"]


def debugger(version):
    return f"stopped in {version}"


def command_line():
    return Path("/proc/self/cmdline").read_text().replace("\0", " ")


def die():
    os._exit(3)


def leave():
    raise SystemExit("enough")


def give(kind):
    return {"set": {1}, "nested": {"a": [object()]}, "tuple": (1, "two")}[kind]


def take(first, *, second):
    return [first, second]
