"""The entry of a version process that runs functions of its snapshot for whoever asks."""

from __future__ import annotations

import pkgutil
import traceback
from collections.abc import Callable
from typing import Any, cast

from hotswap._plain import to_plain
from hotswap.process.context import Context, serve


def main(context: Context) -> None:
    """Serve ``run`` until told to stop."""
    serve(context, {"run": run}, idle=lambda: True)


def run(function: str, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Call ``module:function``: ``{value}`` is the plain data that it returns, ``{raised}`` tells what it raised.

    Raises NotPlainError when it returns something else.
    """
    try:
        value = _found(function)(*arguments, **keywords)
    except BaseException as error:  # noqa: BLE001 - told to the caller, who would take silence for a dead process
        trace = error.__traceback__.tb_next if error.__traceback__ else None  # the first frame is ours
        told = "".join(traceback.format_exception(type(error), error, trace))
        raised = {"kind": type(error).__name__, "message": _text(error), "traceback": told}
        return {"raised": {key: _sendable(text) for key, text in raised.items()}}
    return {"value": to_plain(value, f"What {function} returned")}


def _found(function: str) -> Callable[..., Any]:
    found = pkgutil.resolve_name(function)
    if not callable(found):
        raise TypeError(f"{function!r} names no function: write it as package.module:function.")
    return cast(Callable[..., Any], found)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - the code's own __str__ may do anything; what it was is told still
        return f"its text cannot be shown, as that raises {type(failure).__name__}"


def _sendable(text: str) -> str:
    """Escaped where UTF-8 cannot express it, as in the names of some files."""
    return text.encode(errors="backslashreplace").decode()
