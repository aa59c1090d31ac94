"""The zygote: a fresh, single-threaded process with the heavy imports done; templates are forked from it."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import socket
import sys
from typing import Any

from hotswap import wire
from hotswap.process._noticing import Noticing
from hotswap.process.context import Birth
from hotswap.process.identity import Identity
from hotswap.process.template import Become, Children, fork_to_live, run_template, spawn

Document = dict[str, Any]

log = logging.getLogger(__name__)


def main() -> None:
    """Read ``{secret, instance, preload, unclaimed_seconds}`` from standard input; serve on the descriptor."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    settings = json.load(sys.stdin)
    identity, instance = Identity.mine(), settings["instance"]
    noticed = Noticing()
    with noticed.watching():
        for module in settings["preload"]:
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    hello = {**identity.to_dict(), "name": "zygote", "snapshot": None, "instance": instance}
    zygote = _Zygote(settings["secret"], noticed.reasons)
    try:
        wire.serve_alone(listener, settings["secret"], hello, zygote.handlers(), settings["unclaimed_seconds"])
    except Become as fork:
        run_template(fork.birth, fork.listener)


class _Zygote:
    """``spawned_because``: what preloading left that a fork would break."""

    def __init__(self, secret: str, spawned_because: list[str]) -> None:
        self._secret = secret
        self._spawns = bool(spawned_because)
        self._children = Children()
        if self._spawns:
            log.warning("Templates are spawned, which is slower than a fork: %s.", "; ".join(spawned_because))

    def handlers(self) -> dict[str, wire.Handler]:
        return {"template": self.template, "exit_code": self._children.exit_code, "stop": self.stop}

    def template(self, birth: Document) -> Document:
        """Start the template of a snapshot."""
        listener = wire.listen()
        child = Birth(**birth, secret=self._secret)
        spawns = self._spawns
        pid = spawn("hotswap.process.template", child, listener) if spawns else fork_to_live(child, listener)
        return self._children.add(pid, listener)

    def stop(self) -> None:
        raise wire.EndServing


if __name__ == "__main__":
    main()
