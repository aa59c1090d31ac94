"""Devices as a running task sees them: objects whose methods are executed in the driver process."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hotswap.errors import RemoteError
from hotswap.wire import Client, WireError
from lab.drivers._faults import rebuild
from lab.errors import DeviceError, DriverRestarted, FenceError, OutcomeUnknown
from lab.plain import to_plain


@dataclass(frozen=True)
class Caller:
    """Who calls: a task's attempt, with its lab package and the secret of the laboratory."""

    task: str
    attempt: int
    package: str
    secret: str


@dataclass(frozen=True)
class Route:
    """Where a granted device answers, and the fence its driver expects."""

    device: str
    address: tuple[str, int]
    fence: int


class Line:
    """The connection of one task to one device.

    ``renew(route, unreachable)`` is asked for another route when a call was certainly not executed on this one,
    because the driver refused it or could not be reached; None means there is none.
    """

    def __init__(self, caller: Caller, route: Route, renew: Callable[[Route, bool], Route | None]) -> None:
        self.route = route
        self._caller = caller
        self._renew = renew
        self._client: Client | None = None
        self._client_address: tuple[str, int] | None = None
        self._used = False

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Execute a method of the device.

        Raises what the driver raised, or DeviceError when this task does not know its class; FenceError when the
        device is not granted any more; OutcomeUnknown when the driver process ended meanwhile; DriverRestarted when
        it has ended since the last call; TypeError for an argument that is not plain data.
        """
        name = f"{self.route.device}.{method}"
        plain = {
            "method": method,
            "args": [to_plain(value, f"Argument {number} of {name}") for number, value in enumerate(args, start=1)],
            "kwargs": {key: to_plain(value, f"Argument {key} of {name}") for key, value in kwargs.items()},
        }
        while True:
            try:
                return self._attempt(name, plain)
            except _NotExecuted as refusal:
                renewed = self._renew(self.route, refusal.unreachable)
                if renewed is None:
                    raise refusal.error from None
                self.route = renewed
                if self._used:
                    self._used = False
                    raise DriverRestarted(
                        f"The driver process of {self.route.device} died and was started again, so {name} was not "
                        "called: look at what the device is doing, then decide how to go on."
                    ) from None

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def cut(self) -> None:
        """End a call that another thread waits for, which raises OutcomeUnknown there."""
        client = self._client
        if client is not None:
            client.cut()

    def _attempt(self, name: str, plain: dict[str, Any]) -> Any:
        client = self._connected(name)
        about = {"device": self.route.device, "fence": self.route.fence}
        who = {"task": self._caller.task, "attempt": self._caller.attempt}
        try:
            result = client.call("call", **about, **who, **plain)
            self._used = True
            return result
        except RemoteError as error:
            raised = rebuild(error, name, self._caller.package)
        except (OSError, WireError) as error:
            self.close()
            raise OutcomeUnknown(
                f"The driver process of {self.route.device} ended during {name}; "
                "look at the device to learn whether it was done, then decide how to go on."
            ) from error
        if isinstance(raised, FenceError):
            raise _NotExecuted(raised, unreachable=False)
        self._used = True
        raise raised

    def _connected(self, name: str) -> Client:
        if self._client is not None and (self._client_address != self.route.address or _is_cut(self._client)):
            self.close()
        if self._client is None:
            try:
                self._client = Client(self.route.address, self._caller.secret)
            except (OSError, WireError) as error:
                unreachable = DeviceError(f"{name} was not called: its driver process does not answer ({error}).")
                raise _NotExecuted(unreachable, unreachable=True) from error
            self._client_address = self.route.address
        return self._client


class DeviceProxy:
    """Stands for a device: ``proxy.heat(900)`` has the driver call ``heat``, and returns or raises what that does."""

    def __init__(self, name: str, call: Callable[[str, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        self.name = name
        self._call = call

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(f"{self.name}.{method} is private to the driver.")

        def remote(*args: Any, **kwargs: Any) -> Any:
            return self._call(method, args, kwargs)

        remote.__name__ = method
        return remote

    def __repr__(self) -> str:
        return f"<device {self.name}>"


class _NotExecuted(Exception):  # noqa: N818 - tells the caller's loop apart from a failure
    """The call certainly had no effect; ``error`` is what to raise if there is no other way."""

    def __init__(self, error: Exception, *, unreachable: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.unreachable = unreachable


def _is_cut(client: Client) -> bool:
    """Whether the other side closed an idle connection: nothing may arrive on it between two calls."""
    poll = select.poll()
    with contextlib.suppress(ValueError):
        poll.register(client.fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))
    return True
