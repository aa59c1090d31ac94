"""A process is named by more than its number."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from hotswap.process import DeathWatch, Identity
from hotswap.process._noticing import children


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin
    process.stdin.close()


def test_a_running_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    assert Identity.of(child.pid).alive()


def test_an_ended_process_is_not_alive_even_before_it_is_reaped(child: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(child.pid)
    assert identity.signal(signal.SIGKILL)
    assert identity.wait(10)
    assert not identity.alive()
    assert not identity.kill()


def test_the_same_number_with_another_start_is_another_process(child: subprocess.Popen[bytes]) -> None:
    other = dataclasses.replace(Identity.of(child.pid), start_time=1)
    assert not other.alive()
    assert not other.kill()
    assert child.poll() is None


def test_the_same_number_of_another_boot_is_another_process(child: subprocess.Popen[bytes]) -> None:
    assert not dataclasses.replace(Identity.of(child.pid), boot_id="another").alive()


NAMED = """
import sys
open("/proc/self/comm", "wb").write(b"M\\xc3")
print(flush=True)
sys.stdin.read()
"""


def test_a_process_whose_name_is_no_text_is_known_and_found_among_the_children() -> None:
    command = [sys.executable, "-c", NAMED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as named:
        assert named.stdout
        named.stdout.readline()
        assert Identity.of(named.pid).alive()
        assert named.pid in children()


def test_identity_survives_plain_data(child: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(child.pid)
    assert Identity.from_dict(identity.to_dict()) == identity


def test_death_is_told_without_being_asked(child: subprocess.Popen[bytes]) -> None:
    dead = threading.Event()
    watch = DeathWatch()
    watch.watch(Identity.of(child.pid), dead.set)
    child.kill()
    assert dead.wait(10)
    watch.close()


def test_the_death_of_one_that_is_gone_is_told_at_once(child: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(child.pid)
    child.kill()
    child.wait()
    dead = threading.Event()
    watch = DeathWatch()
    watch.watch(identity, dead.set)
    assert dead.wait(10)
    watch.close()


def test_a_failure_after_one_death_does_not_keep_others_from_being_told(
    child: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    identity = Identity.of(child.pid)
    child.kill()
    child.wait()
    dead = threading.Event()
    watch = DeathWatch()
    watch.watch(identity, lambda: {}.pop(1))
    watch.watch(identity, dead.set)
    assert dead.wait(10)
    watch.close()
    assert "KeyError" in caplog.text


def test_a_watch_can_be_closed_twice() -> None:
    watch = DeathWatch()
    watch.close()
    watch.close()
