"""Processes talk in BSON frames, to those who know the secret."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap import wire
from hotswap.errors import RemoteError


class Overheated(Exception):
    def wire_detail(self) -> dict[str, Any]:
        return {"celsius": 1300}


def _overheat() -> None:
    raise Overheated("too hot")


def _end() -> None:
    raise wire.EndServing


HANDLERS: dict[str, Callable[..., Any]] = {
    "echo": lambda value: value,
    "overheat": _overheat,
    "unplain": object,
    "end": _end,
    "dawdle": lambda: threading.Event().wait(0.5),
}


class Exhausted(socket.socket):
    """A listener of a process that has no free file descriptor when the first caller comes."""

    exhausted = True

    def accept(self) -> tuple[socket.socket, Any]:
        if self.exhausted:
            self.exhausted = False
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def listener() -> socket.socket:
    return wire.listen()


@pytest.fixture(params=["threads", "alone"])
def address(request: pytest.FixtureRequest, listener: socket.socket) -> Iterator[wire.Address]:
    hello = {"name": "here"}
    address = wire.address_of(listener)
    if request.param == "threads":
        server = wire.Server(listener, "secret", hello, HANDLERS)
        thread = threading.Thread(target=server.serve, daemon=True)
        stop = server.stop
    else:
        thread = threading.Thread(target=wire.serve_alone, args=(listener, "secret", hello, HANDLERS), daemon=True)

        def stop() -> None:
            with wire.Client(address, "secret") as client, pytest.raises((ConnectionError, OSError)):
                client.call("end")

    thread.start()
    yield address
    stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_call_returns_what_the_handler_returns(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as client:
        assert client.call("echo", value={"a": [1, 2.5, None, "x", b"y"]}) == {"a": [1, 2.5, None, "x", b"y"]}


def test_times_stay_aware(address: wire.Address) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with wire.Client(address, "secret", timeout=5) as client:
        assert client.call("echo", value=moment) == moment


def test_the_server_says_who_it_is(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as client:
        assert client.hello == {"name": "here"}


def test_two_clients_are_served_at_once(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as one, wire.Client(address, "secret", timeout=5) as two:
        assert (one.call("echo", value=1), two.call("echo", value=2), one.call("echo", value=3)) == (1, 2, 3)


def test_an_exception_comes_back_with_kind_text_and_detail(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as client:
        with pytest.raises(RemoteError, match="too hot") as caught:
            client.call("overheat")
        assert (caught.value.kind, caught.value.detail) == ("Overheated", {"celsius": 1300})
        assert client.call("echo", value=1) == 1


def test_an_unknown_operation_is_an_error_not_an_end(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as client:
        with pytest.raises(RemoteError, match="no operation 'fly'"):
            client.call("fly")
        assert client.call("echo", value=1) == 1


def test_a_result_that_is_not_plain_data_is_an_error(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as client, pytest.raises(RemoteError, match="plain data"):
        client.call("unplain")


def test_an_argument_that_is_not_plain_data_is_refused_before_it_is_sent(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=5) as client:
        with pytest.raises(wire.WireError, match="plain data"):
            client.call("echo", value=object())
        assert client.call("echo", value=1) == 1


def test_a_wrong_secret_is_refused(address: wire.Address) -> None:
    with pytest.raises(ConnectionError):
        wire.Client(address, "guess", timeout=5)


def test_an_oversized_frame_is_refused_and_others_are_served(address: wire.Address) -> None:
    with socket.create_connection(address, timeout=5) as rude:
        rude.recv(1024)
        rude.sendall((1 << 30).to_bytes(4, "little"))
        assert rude.recv(1024) == b""
    with wire.Client(address, "secret", timeout=5) as client:
        assert client.call("echo", value=1) == 1


def test_the_secret_does_not_travel() -> None:
    seen = bytearray()
    listener = wire.listen()

    def listen_in() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(bson.encode({"nonce": b"0" * 16}))
            seen.extend(connection.recv(4096))

    thread = threading.Thread(target=listen_in)
    thread.start()
    with pytest.raises(ConnectionError):
        wire.Client(wire.address_of(listener), "open-sesame", timeout=5)
    thread.join()
    listener.close()
    assert seen
    assert b"open-sesame" not in seen


class TestWithoutAFreeDescriptor:
    @pytest.fixture
    def listener(self) -> socket.socket:
        return Exhausted(fileno=wire.listen().detach())

    def test_a_caller_waits_and_is_served(self, address: wire.Address) -> None:
        with wire.Client(address, "secret", timeout=5) as client:
            assert client.call("echo", value=1) == 1


@given(data=st.binary(max_size=64))
def test_noise_is_refused_as_a_frame(data: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(data)
        there.close()
        try:
            document = wire._receive(here)
        except (wire.WireError, ConnectionError):
            return
        assert document is None or bson.encode(document)


def test_a_server_that_nobody_is_connected_to_for_long_ends() -> None:
    listener = wire.listen()
    wire.serve_alone(listener, "secret", {}, HANDLERS, unclaimed_seconds=0.05)
    assert listener.fileno() == -1


def test_a_call_that_was_too_slow_leaves_no_answer_for_the_next(address: wire.Address) -> None:
    with wire.Client(address, "secret", timeout=0.2) as client:
        with pytest.raises(TimeoutError):
            client.call("dawdle")
        assert client.closed


def test_a_stranger_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HANDSHAKE_TIMEOUT", 0.1)
    with wire.listen() as silent, pytest.raises(TimeoutError):
        wire.Client(wire.address_of(silent), "secret")


def test_a_silent_stranger_keeps_a_lone_server_from_its_work_for_a_short_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "LONE_HANDSHAKE_TIMEOUT", 0.1)
    monkeypatch.setattr(wire, "HANDSHAKE_TIMEOUT", 60)
    listener = wire.listen()
    address = wire.address_of(listener)
    threading.Thread(target=wire.serve_alone, args=(listener, "secret", {}, HANDLERS), daemon=True).start()
    with socket.create_connection(address), wire.Client(address, "secret", timeout=5) as client:
        assert client.call("echo", value=1) == 1
        with pytest.raises(OSError, match="closed the connection"):
            client.call("end")


def test_a_caller_that_no_thread_can_be_started_for_is_refused_and_the_next_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = wire.listen()
    server = wire.Server(listener, "secret", {}, HANDLERS)
    serving = threading.Thread(target=server.serve)
    serving.start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _start_no_thread)
        with pytest.raises(OSError, match="closed the connection"):
            wire.Client(wire.address_of(listener), "secret", timeout=5)
    with wire.Client(wire.address_of(listener), "secret", timeout=5) as client:
        assert client.call("echo", value=1) == 1
    server.stop()
    serving.join(10)
    assert not serving.is_alive()


def _start_no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_stranger_that_speaks_otherwise_is_refused() -> None:
    with wire.listen() as listener:
        thread = threading.Thread(target=_speak_otherwise, args=(listener,))
        thread.start()
        with pytest.raises(wire.WireError, match="not one of ours"):
            wire.Client(wire.address_of(listener), "secret", timeout=5)
        thread.join()


def _speak_otherwise(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(bson.encode({"hello": "there"}))
