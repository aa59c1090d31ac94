"""How long a submitted task waits in an idle laboratory, and what a call of a device costs it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.figures import Figure, limit, median
from benchmarks.laboratory import Laboratory, laboratory
from benchmarks.results import Benchmark, Findings

_BUDGET: Final = limit(0.1, "s", "submit to running, idle lab (AlabOS 1.1.0: 1.69 s, with auto_refresh 2.1 s)")
_MESSAGE: Final = bytes(200)
_ECHO: Final = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)
"""


def run(quick: bool) -> Findings:
    """Submit one task at a time; then have one task call a device that does next to nothing."""
    with laboratory() as lab:
        _submit_to_running(lab)
        waits = [_submit_to_running(lab) for _ in range(10 if quick else 100)]
        calls = _device_calls(lab, 100 if quick else 1000)
    trips = _round_trips(len(calls))
    bare = f"an echo of 200 bytes between two processes over loopback, same run: {median(trips) * 1e3:.2g} ms"
    return Findings(
        [
            Figure("submit_to_running_p50", median(waits), "s", len(waits), _BUDGET),
            Figure("device_call_p50", median(calls), "s", len(calls), limit(0.002, "s", f"a call of a device; {bare}")),
        ]
    )


def _submit_to_running(lab: Laboratory) -> float:
    """From before the HTTP request to the first line of the task."""
    submitted = time.time()
    (task,) = lab.submit("Probe")
    return float(lab.result(task)["began"]) - submitted


def _device_calls(lab: Laboratory, count: int) -> list[float]:
    (task,) = lab.submit("Calling", {"calls": count})
    return [float(seconds) for seconds in lab.result(task)["seconds"]]


def _round_trips(count: int) -> list[float]:
    with _echo() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _round_trip(connection)
        return [_round_trip(connection) for _ in range(count)]


def _round_trip(connection: socket.socket) -> float:
    began = time.perf_counter()
    connection.sendall(_MESSAGE)
    received = 0
    while received < len(_MESSAGE):
        received += len(connection.recv(4096))
    return time.perf_counter() - began


@contextmanager
def _echo() -> Iterator[socket.socket]:
    with subprocess.Popen([sys.executable, "-c", _ECHO], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            yield connection


BENCHMARK: Final = Benchmark(
    "submit to running, and device calls, in an idle lab",
    ("submit_to_running_p50", "device_call_p50"),
    run,
)
