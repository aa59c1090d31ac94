"""Code that looks at code: sources, tracebacks, log records, warnings, and tests that replace a name."""

import builtins
import inspect
import io
import logging
import logging.config
import os
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from conform import agreed
from conform.parts import value

VERSION = "v1"

log = logging.getLogger(__name__)


class Keeper(logging.Handler):
    """A handler that a configuration names by its path."""

    def __init__(self, word):
        super().__init__()
        self.word = word
        self.kept = []
        KEEPERS.append(self)

    def emit(self, record):
        self.kept.append((self.word, record.name, record.getMessage()))


KEEPERS = []


@contextmanager
def _handled(logger, handler):
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def fail():
    raise ValueError("of v1")  # this line is of v1


def inspect_source():
    lines, _ = inspect.getsourcelines(fail)
    assert lines[0] == "def fail():\n"
    assert Path(inspect.getsourcefile(fail)).parent == Path(__file__).parent
    return lines[1].rpartition("of ")[2].strip()


def traceback_source():
    try:
        fail()
    except ValueError:
        told = traceback.format_exc()
    assert os.environ["HOTSWAP_SNAPSHOT"] in told
    return agreed(*(line.rpartition("of ")[2].strip() for line in told.splitlines() if "# this line" in line))


def logging_plain_hierarchy():
    """A handler at the root of the package gets what its modules log under their own names."""
    keeper = Keeper(VERSION)
    with _handled(logging.getLogger("conform"), keeper):
        log.error("from %s", VERSION)
    assert keeper.kept == [(VERSION, "conform.looking", f"from {VERSION}")]
    return keeper.kept[0][0]


def logging_name_display():
    """As the process itself logs: plain names, beside the version."""
    record = log.makeRecord(log.name, logging.ERROR, __file__, 1, "from %s", (VERSION,), None)
    line = logging.getLogger().handlers[0].format(record)
    assert f"[{os.environ['HOTSWAP_SNAPSHOT'][:12]}] conform.looking: from" in line
    return line.rpartition("from ")[2]


def logging_dictconfig_path():
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"keeper": {"class": "conform.looking.Keeper", "word": "ext://conform.parts.value.VERSION"}},
            "loggers": {"conform.looking": {"handlers": ["keeper"]}},
        }
    )
    keeper = KEEPERS[-1]
    log.error("configured")
    log.removeHandler(keeper)
    assert keeper.kept == [(VERSION, "conform.looking", "configured")]
    return keeper.word


def warnings_filter_module():
    """A filter names a module; a warning of another one passes it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        warnings.filterwarnings("error", module=r"conform\.looking$")
        warnings.warn_explicit("let through", UserWarning, "x.py", 1, module="conform.parts.value")
        try:
            warnings.warn(f"of {VERSION}", stacklevel=1)
        except UserWarning as warning:
            return str(warning).rpartition("of ")[2]
    return "not filtered"


def mock_patch_string():
    with mock.patch("conform.parts.value.PATCHED", f"patched {value.PATCHED}"):
        inside = value.patched()
    return agreed(inside.removeprefix("patched "), value.patched())


def _read(path):
    with open(path) as stream:  # noqa: PTH123 - the builtin is what gets patched
        return stream.read().strip()


def mock_patch_builtins():
    """What is patched into the builtins reaches the package, its imports among it, and goes away again."""
    with mock.patch("builtins.open", lambda *_: io.StringIO(f"patched {VERSION}")):
        inside = _read("nothing")
    with mock.patch("builtins.__import__", wraps=builtins.__import__) as importing:
        from conform.late import VERSION as late
    assert importing.called
    return agreed(inside.removeprefix("patched "), late, _read(Path(__file__).parent / "data" / "word.txt"))
