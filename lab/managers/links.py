"""The managers' connections to the driver processes."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final

from hotswap.wire import Address, Client, WireError

_TIMEOUT: Final = 2.0  # seconds; grants and revocations are answered at once unless a driver hangs


class DriverLinks:
    """One connection per driver process, made when first needed and made again when it was lost."""

    def __init__(self, secret: str, timeout: float = _TIMEOUT) -> None:
        self._secret = secret
        self._timeout = timeout
        self._clients: dict[Address, Client] = {}
        self._lock = threading.Lock()

    def call(self, address: Address, op: str, **arguments: Any) -> Any:
        """Have the driver process at ``address`` do ``op``, which must be safe to repeat.

        Raises RemoteError when it refuses, ConnectionError when it is gone, TimeoutError when it does not answer.
        """
        address = (address[0], address[1])
        client, fresh = self._client(address)
        try:
            return client.call(op, **arguments)
        except TimeoutError:
            self._drop(address, client)
            raise
        except (OSError, WireError):
            self._drop(address, client)
            if fresh:
                raise
        return self._client(address)[0].call(op, **arguments)

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _client(self, address: Address) -> tuple[Client, bool]:
        with self._lock:
            known = self._clients.get(address)
            if known is not None:
                return known, False
            client = Client(address, self._secret, timeout=self._timeout)
            self._clients[address] = client
            return client, True

    def _drop(self, address: Address, client: Client) -> None:
        with self._lock, contextlib.suppress(KeyError):
            if self._clients[address] is client:
                del self._clients[address]
        client.close()
