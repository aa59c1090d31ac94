"""What the code of a version process finds around it: its snapshot, a log that names it, and nobody at a terminal."""

from __future__ import annotations

import io
import logging
import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_SHORT: Final = 12
_PYTHONS_OWN: Final = (BuiltinImporter, FrozenImporter, PathFinder)

log = logging.getLogger(__name__)


def prepare(snapshot: str, tree: str) -> None:
    """Make the snapshot the one that this process, and every process it starts, imports by its plain name."""
    _import_from(tree)
    os.environ["HOTSWAP_SNAPSHOT"] = snapshot
    _log_for(snapshot)
    sys.breakpointhook = _go_on
    sys.modules["__main__"] = ModuleType("__main__")  # ours is not what spawned children should import as theirs


def flush() -> None:
    """Write out what was printed so far."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError) as error:  # the code may have closed or replaced it
            log.debug("What was printed is lost: %s", error)


def _import_from(tree: str) -> None:
    """The tree comes first wherever Python looks for code, and the working directory nowhere.

    A lab's working tree, where ``python -m my_lab.x`` may well be started, has another version of it.
    """
    sys.path[:] = [tree, *(path for path in sys.path if path != tree)]
    _put_behind(tree)
    sys.dont_write_bytecode = True
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", tree)]
    os.environ["PYTHONPATH"] = os.pathsep.join([tree, *inherited])
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def _put_behind(tree: str) -> None:
    """Some editable installs put an import hook first; where that serves what the tree has, it comes last."""
    names = {entry.name.partition(".")[0] for entry in Path(tree).iterdir()}
    for hook in [hook for hook in sys.meta_path if hook not in _PYTHONS_OWN]:
        if any(hook.find_spec(name, None) is not None for name in names):
            sys.meta_path.remove(hook)
            sys.meta_path.append(hook)


def _log_for(snapshot: str) -> None:
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s %(levelname)s [{snapshot[:_SHORT]}] %(name)s: %(message)s", force=True
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # prints stand in the log where they belong


def _go_on(*arguments: Any, **keywords: Any) -> Any:
    """What ``breakpoint()`` does: start the debugger that PYTHONBREAKPOINT names, else say so and go on.

    The default one would ask at a terminal that is not there, and fail the code.
    """
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **keywords)
    asking = sys._getframe(1)
    log.warning(
        "breakpoint() in %s, line %d: nobody sits at process %d, so it goes on; "
        "to stop there, name a debugger that listens on a port in PYTHONBREAKPOINT before the start.",
        asking.f_code.co_filename,
        asking.f_lineno,
        os.getpid(),
    )
    return None
