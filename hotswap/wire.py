"""How processes talk: BSON documents over TCP on loopback, each side proving that it knows the shared secret.

A frame is one BSON document, whose first four bytes are its length (bsonspec.org). On connecting, the server sends a
nonce; the client answers with a keyed hash of it and a nonce of its own; the server answers likewise and adds a
*hello* that says who it is. The secret itself never travels. Then requests ``{op, arguments}`` and replies ``{value}``
or ``{error}`` alternate. Nothing that arrives is ever executed or unpickled.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import bson
from bson.codec_options import CodecOptions

from hotswap.errors import HotswapError, RemoteError

Document = dict[str, Any]
Handler = Callable[..., Any]
Address = tuple[str, int]

MAX_FRAME: Final = 16 * 1024 * 1024
HANDSHAKE_TIMEOUT: Final = 5.0
LONE_HANDSHAKE_TIMEOUT: Final = 1.0
"""Of ``serve_alone``, which serves nobody else meanwhile."""

_PAUSE_SECONDS: Final = 0.1
_OPTIONS: Final[CodecOptions[Document]] = CodecOptions(tz_aware=True)

log = logging.getLogger(__name__)


class WireError(HotswapError):
    """What arrived is not what this protocol allows."""


@runtime_checkable
class Detailed(Protocol):
    """An exception that has more to tell than its text, as plain data."""

    def wire_detail(self) -> Document: ...


def listen(port: int = 0) -> socket.socket:
    """A listening socket on loopback, on a free port unless given; it can be made before the process that serves it."""
    return socket.create_server(("127.0.0.1", port), backlog=64)


def address_of(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return host, port


class Client:
    """One connection to a server. Calls from several threads take turns.

    ``timeout`` (seconds, None for no limit) bounds each call, and the handshake, which is never without a limit.
    Raises ConnectionError when nobody answers or the other side dies, ``TimeoutError`` when it is too slow, WireError
    when it does not know the secret.
    """

    def __init__(self, address: Address, secret: str, *, timeout: float | None = None) -> None:
        self._lock = threading.Lock()
        bound = HANDSHAKE_TIMEOUT if timeout is None else timeout
        self._socket = socket.create_connection((address[0], address[1]), timeout=bound)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.hello = _greet(self._socket, secret)
            self._socket.settimeout(timeout)
        except BaseException:  # whatever ends the attempt, the socket must not stay open
            self._socket.close()
            raise

    def call(self, op: str, **arguments: Any) -> Any:
        """Have the other side run ``op``. Raises RemoteError when that raised there."""
        request = _encode({"op": op, "arguments": arguments})
        with self._lock:
            try:
                self._socket.sendall(request)
                reply = _expect(self._socket)
            except (OSError, WireError):
                self._socket.close()  # a late answer must not be taken for that of the next call
                raise
        if "error" in reply:
            error = reply["error"]
            raise RemoteError(error["message"], error["kind"], error["detail"])
        return reply["value"]

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def closed(self) -> bool:
        """Whether it is of no more use: it was closed, or a call failed and its answer may still come."""
        return self._socket.fileno() == -1

    def close(self) -> None:
        self._socket.close()

    def cut(self) -> None:
        """End a call that another thread waits for, which raises ConnectionError there."""
        with contextlib.suppress(OSError):  # it is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server:
    """Serves each connection on a thread of its own, so that one slow call does not keep others waiting.

    ``on_connections`` is told the number of authenticated connections whenever it changes.
    """

    def __init__(
        self,
        listener: socket.socket,
        secret: str,
        hello: Document,
        handlers: Mapping[str, Handler],
        on_connections: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._listener = listener
        self._secret = secret
        self._hello = hello
        self._handlers = handlers
        self._on_connections = on_connections
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = socket.socketpair()

    def serve(self) -> None:
        """Accept connections until ``stop`` is called."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            entrance = _Entrance(self._listener)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                if (connection := entrance.accept()) is not None:
                    self._begin(connection)
        self._close()

    def stop(self) -> None:
        self._wake_write.send(b"x")

    def _begin(self, connection: socket.socket) -> None:
        """Refuse what there is no thread for: those that are served, and running work, go on."""
        try:
            threading.Thread(target=self._converse, args=(connection,), name="wire", daemon=True).start()
        except RuntimeError as error:
            log.warning("A connection was refused: %s.", error)
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                _welcome(connection, self._secret, self._hello, HANDSHAKE_TIMEOUT)
                self._count(connection, present=True)
                while (request := _receive(connection)) is not None:
                    connection.sendall(_answer(self._handlers, request))
            except (OSError, WireError) as error:
                log.debug("A connection ended: %s", error)
            finally:
                self._count(connection, present=False)

    def _count(self, connection: socket.socket, *, present: bool) -> None:
        with self._lock:
            before = len(self._connections)
            (self._connections.add if present else self._connections.discard)(connection)
            after = len(self._connections)
            if after != before:  # told in the order in which it happened: the last number is the true one
                self._on_connections(after)

    def _close(self) -> None:
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
        self._wake_read.close()
        self._wake_write.close()


class _Entrance:
    """Accepts connections, and outlives a time without a free file descriptor: running work must not end for it."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._troubled = False

    def accept(self) -> socket.socket | None:
        """The next connection; None after a short pause where it cannot be accepted now, and has to wait."""
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if not self._troubled:
                log.warning("Nobody can connect for now: %s.", error)
            self._troubled = True
            threading.Event().wait(_PAUSE_SECONDS)
            return None
        self._troubled = False
        return connection


def serve_alone(
    listener: socket.socket,
    secret: str,
    hello: Document,
    handlers: Mapping[str, Handler],
    unclaimed_seconds: float | None = None,
) -> None:
    """Serve all connections on the calling thread, one request at a time: for processes that must stay single-threaded.

    Returns when a handler raises ``EndServing``, or when nobody was connected for ``unclaimed_seconds``; any exception
    that is not an ``Exception`` passes through.
    """
    entrance = _Entrance(listener)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        try:
            while True:
                alone = len(selector.get_map()) == 1
                events = selector.select(unclaimed_seconds if alone else None)
                if alone and not events:
                    return
                for key, _ in events:
                    if key.fileobj is listener:
                        _admit(selector, entrance, secret, hello)
                    else:
                        _attend(selector, key.fileobj, handlers)  # type: ignore[arg-type]
        except EndServing:
            return
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]


class EndServing(BaseException):
    """Raised by a handler of ``serve_alone`` to end it."""


def _admit(selector: selectors.BaseSelector, entrance: _Entrance, secret: str, hello: Document) -> None:
    connection = entrance.accept()
    if connection is None:
        return
    try:
        _welcome(connection, secret, hello, LONE_HANDSHAKE_TIMEOUT)
    except (OSError, WireError) as error:
        log.debug("A connection was refused: %s", error)
        connection.close()
    else:
        connection.settimeout(HANDSHAKE_TIMEOUT)  # a half-sent frame must not hold up everybody else
        selector.register(connection, selectors.EVENT_READ)


def _attend(selector: selectors.BaseSelector, connection: socket.socket, handlers: Mapping[str, Handler]) -> None:
    try:
        request = _receive(connection)
        if request is not None:
            connection.sendall(_answer(handlers, request))
            return
    except (OSError, WireError) as error:
        log.debug("A connection ended: %s", error)
    selector.unregister(connection)
    connection.close()


def _answer(handlers: Mapping[str, Handler], request: Document) -> bytes:
    try:
        handler = handlers.get(request["op"])
        if handler is None:
            raise WireError(f"There is no operation {request['op']!r} here.")
        return _encode({"value": handler(**request["arguments"])})
    except Exception as error:  # whatever a handler raises is the caller's to know
        log.debug("%s raised", request.get("op"), exc_info=True)
        detail = error.wire_detail() if isinstance(error, Detailed) else {}
        return _encode({"error": {"kind": type(error).__name__, "message": str(error), "detail": detail}})


def _greet(connection: socket.socket, secret: str) -> Document:
    challenge = _expect(connection).get("nonce")
    nonce = os.urandom(16)
    if isinstance(challenge, bytes):
        _send(connection, {"proof": _proof(secret, b"client", challenge), "nonce": nonce})
        reply = _expect(connection)
        if _proves(reply.get("proof"), secret, b"server", nonce):
            hello: Document = reply["hello"]
            return hello
    raise WireError(f"The process at {connection.getpeername()} is not one of ours: it does not know the secret.")


def _welcome(connection: socket.socket, secret: str, hello: Document, timeout: float) -> None:
    connection.settimeout(timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    nonce = os.urandom(16)
    _send(connection, {"nonce": nonce})
    answer = _expect(connection)
    challenge = answer.get("nonce")
    if not isinstance(challenge, bytes) or not _proves(answer.get("proof"), secret, b"client", nonce):
        raise WireError("A caller without the secret was refused.")
    _send(connection, {"proof": _proof(secret, b"server", challenge), "hello": hello})
    connection.settimeout(None)


def _proof(secret: str, side: bytes, nonce: bytes) -> bytes:
    return hmac.digest(secret.encode(), side + nonce, "sha256")


def _proves(proof: object, secret: str, side: bytes, nonce: bytes) -> bool:
    return isinstance(proof, bytes) and hmac.compare_digest(proof, _proof(secret, side, nonce))


def _send(connection: socket.socket, document: Document) -> None:
    connection.sendall(_encode(document))


def _encode(document: Document) -> bytes:
    try:
        data = bson.encode(document)
    except (bson.errors.InvalidDocument, OverflowError) as error:
        raise WireError(f"Only plain data can be sent to another process: {error}.") from error
    if len(data) > MAX_FRAME:
        raise WireError(f"A message of {len(data)} bytes is over the limit of {MAX_FRAME}; send a reference to it.")
    return data


def _expect(connection: socket.socket) -> Document:
    document = _receive(connection)
    if document is None:
        raise ConnectionResetError("The other side closed the connection before it answered.")
    return document


def _receive(connection: socket.socket) -> Document | None:
    """The next frame, or None when the other side has ended cleanly between two frames."""
    head = _read(connection, 4)
    if not head:
        return None
    length = int.from_bytes(head, "little")
    if not 5 <= length <= MAX_FRAME:
        raise WireError(f"A frame of {length} bytes is not allowed.")
    body = _read(connection, length - 4)
    try:
        return bson.decode(head + body, _OPTIONS)
    except bson.errors.InvalidBSON as error:
        raise WireError(f"A frame is not BSON: {error}.") from error


def _read(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            if parts:
                raise ConnectionResetError("The other side ended in the middle of a message.")
            return b""
        parts += part
    return bytes(parts)
