"""The fleet as other processes of the host reach it."""

from __future__ import annotations

import socket
from typing import Any, cast

from hotswap import wire
from hotswap.errors import DescribeError, DriftError, RemoteError, UnreachableError
from hotswap.fleet._fleet import Fleet
from hotswap.fleet._started import Started
from hotswap.fleet._templates import described
from hotswap.process.identity import Identity

Document = dict[str, Any]


def serve_fleet(fleet: Fleet, listener: socket.socket, secret: str) -> wire.Server:
    """A server for FleetClient; the caller runs and stops it."""

    def ensure(name: str, snapshot: str, entry: str, arguments: Document, timeout: float | None = None) -> Document:
        started = fleet.ensure(name, snapshot, entry, arguments, timeout)
        return {
            "name": name,
            "address": list(started.address),
            "identity": started.identity.to_dict(),
            "instance": started.instance,
        }

    handlers: dict[str, wire.Handler] = {
        "describe": fleet.describe,
        "ask": fleet.ask,
        "ensure": ensure,
        "drain": fleet.drain,
        "stop": fleet.stop,
        "kill": fleet.kill,
        "release": fleet.release,
        "processes": fleet.processes,
    }
    hello = {**Identity.mine().to_dict(), "name": "fleet"}
    return wire.Server(listener, secret, hello, handlers)


class FleetClient:
    """Asks the fleet over a connection per call, so that slow calls do not wait for each other.

    Each method raises what ``Fleet``'s does, as RemoteError unless said otherwise, and UnreachableError when no
    fleet is there.
    """

    def __init__(self, address: wire.Address, secret: str) -> None:
        self._address = address
        self._secret = secret

    def describe(self, snapshot: str) -> Document:
        """See ``Fleet.describe``. Raises DescribeError, and as a kind of it DriftError."""
        return self._told("describe", snapshot=snapshot)

    def ask(self, snapshot: str, hook: str, question: Document) -> Document:
        """See ``Fleet.ask``. Raises DescribeError, and as a kind of it DriftError."""
        return self._told("ask", snapshot=snapshot, hook=hook, question=question)

    def _told(self, op: str, **arguments: Any) -> Document:
        try:
            return cast(Document, self._call(op, **arguments))
        except RemoteError as error:
            if error.kind == DriftError.__name__:
                raise DriftError(str(error)) from error
            if error.kind == DescribeError.__name__:
                raise described(error) from error
            raise

    def ensure(
        self, name: str, snapshot: str, entry: str, arguments: Document, timeout: float | None = None
    ) -> Started:
        answer = self._call("ensure", name=name, snapshot=snapshot, entry=entry, arguments=arguments, timeout=timeout)
        host, port = answer["address"]
        return Started(name, (host, port), Identity.from_dict(answer["identity"]), answer["instance"])

    def drain(self, name: str, instance: str | None = None) -> None:
        self._call("drain", name=name, instance=instance)

    def stop(self, name: str, grace: float, instance: str | None = None) -> None:
        self._call("stop", name=name, grace=grace, instance=instance)

    def kill(self, name: str) -> None:
        self._call("kill", name=name)

    def release(self, snapshot: str) -> None:
        self._call("release", snapshot=snapshot)

    def processes(self) -> list[Document]:
        return cast(list[Document], self._call("processes"))

    def _call(self, op: str, **arguments: Any) -> Any:
        try:
            with wire.Client(self._address, self._secret) as client:
                return client.call(op, **arguments)
        except OSError as error:
            host, port = self._address
            raise UnreachableError(
                f"The fleet at {host}:{port} does not answer ({error}); see that it runs."
            ) from error
