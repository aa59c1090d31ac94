"""Exceptions of drivers on their way to the task that called.

Only a name and plain data travel. The receiving side looks the name up among the classes it already trusts: those of
its own lab package, of Python, of `lab` and of `hotswap`.
"""

from __future__ import annotations

import builtins
import importlib
import logging
from pathlib import Path
from typing import Any, Final

from hotswap.errors import HotswapError, RemoteError
from lab.errors import DeviceError, FenceError
from lab.plain import to_plain
from lab.tracebacks import relative_traceback

log = logging.getLogger(__name__)

_TRUSTED: Final = frozenset({"builtins", "lab", "hotswap"})


class CallFailed(HotswapError):  # noqa: N818 - crosses the wire and is never seen by people
    """A driver raised; ``wire_detail`` is what the other side needs to raise it again."""

    def __init__(self, error: BaseException, tree: Path) -> None:
        super().__init__(str(error))
        self._detail = {
            "module": type(error).__module__,
            "qualname": type(error).__qualname__,
            "args": _plain_or_none(list(error.args)),
            "state": _plain_attributes(error),
            "message": str(error),
            "traceback": relative_traceback(error, tree),
        }

    def wire_detail(self) -> dict[str, Any]:
        return self._detail


def rebuild(error: RemoteError, call: str, package: str) -> Exception:
    """The exception to raise in the task for what the driver reported about ``call`` (``device.method``).

    ``package`` is the task's lab package. What cannot be told in a class known here becomes a DeviceError.
    """
    if error.kind == FenceError.__name__:
        return FenceError(str(error))
    if error.kind == DeviceError.__name__:
        return DeviceError(str(error))
    if error.kind != CallFailed.__name__:
        return DeviceError(f"{call} failed in the driver process: {error}")
    detail: dict[str, Any] = error.detail
    raised = _same_class(detail, package) or _stand_in(detail, call)
    raised.add_note(f"Raised by {call} in its driver process:\n{detail['traceback']}")
    return raised


def _same_class(detail: dict[str, Any], package: str) -> Exception | None:
    cls = _find(detail["module"], detail["qualname"], package)
    if cls is None or detail["args"] is None:
        return None
    try:
        # Not cls(*args): an __init__ of its own may take other arguments than the ones it passed on.
        raised = cls(*detail["args"]) if detail["module"] == "builtins" else cls.__new__(cls, *detail["args"])
    except Exception:  # whatever a foreign class does when it is built, the caller gets a stand-in
        log.info("%s could not be built again", detail["qualname"], exc_info=True)
        return None
    raised.__dict__.update(detail["state"])
    return raised


def _stand_in(detail: dict[str, Any], call: str) -> DeviceError:
    return DeviceError(f"{call} raised {detail['qualname']}: {detail['message']}")


def _find(module: str, qualname: str, package: str) -> type[Exception] | None:
    if module.partition(".")[0] not in _TRUSTED | {package}:
        return None
    try:
        found: object = builtins if module == "builtins" else importlib.import_module(module)
        for name in qualname.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _plain_or_none(value: object) -> Any:
    return to_plain(value, "an argument") if _is_plain(value) else None


def _plain_attributes(error: BaseException) -> dict[str, Any]:
    kept = {name: value for name, value in vars(error).items() if name != "__notes__" and _is_plain(value)}
    return {name: to_plain(value, name) for name, value in kept.items()}


def _is_plain(value: object) -> bool:
    try:
        to_plain(value, "it")
    except TypeError:
        return False
    return True
