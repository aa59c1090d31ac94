"""The entry of a version process that runs functions of its snapshot for whoever asks."""

from __future__ import annotations

import pkgutil
import traceback
from typing import Any

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
        value = pkgutil.resolve_name(function)(*arguments, **keywords)
    except BaseException as error:  # noqa: BLE001 - told to the caller, who would take silence for a dead process
        trace = error.__traceback__.tb_next if error.__traceback__ else None  # the first frame is ours
        told = "".join(traceback.format_exception(type(error), error, trace))
        return {"raised": {"kind": type(error).__name__, "message": str(error), "traceback": told}}
    return {"value": to_plain(value, f"What {function} returned")}
