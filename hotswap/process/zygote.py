"""The zygote: a fresh, single-threaded process with the heavy imports done; templates are forked from it."""

from __future__ import annotations

import gc
import importlib
import json
import socket
import sys
from typing import Any

from hotswap import wire
from hotswap.process.context import Birth
from hotswap.process.identity import Identity
from hotswap.process.template import Become, Children, fork_to_live, run_template

Document = dict[str, Any]


def main() -> None:
    """Read ``{secret, instance, preload, unclaimed_seconds}`` from standard input; serve on the descriptor given."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    settings = json.load(sys.stdin)
    for module in settings["preload"]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    hello = {**Identity.mine().to_dict(), "name": "zygote", "snapshot": None, "instance": settings["instance"]}
    zygote = _Zygote(settings["secret"])
    try:
        wire.serve_alone(listener, settings["secret"], hello, zygote.handlers(), settings["unclaimed_seconds"])
    except Become as fork:
        run_template(fork.birth, fork.listener)


class _Zygote:
    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._children = Children()

    def handlers(self) -> dict[str, wire.Handler]:
        return {"template": self.template, "exit_code": self._children.exit_code, "stop": self.stop}

    def template(self, birth: Document) -> Document:
        listener = wire.listen()
        return self._children.add(fork_to_live(Birth(**birth, secret=self._secret), listener), listener)

    def stop(self) -> None:
        raise wire.EndServing


if __name__ == "__main__":
    main()
