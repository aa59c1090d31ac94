"""The entry of a version process that runs functions of its snapshot for whoever asks."""

from __future__ import annotations

import pkgutil
from typing import Any

from hotswap.process.context import Context, serve


def main(context: Context) -> None:
    """Serve ``run`` until told to stop."""
    serve(context, {"run": run}, idle=lambda: True)


def run(function: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Call ``module:function`` and return the plain data it returns."""
    return pkgutil.resolve_name(function)(*arguments, **keywords)
