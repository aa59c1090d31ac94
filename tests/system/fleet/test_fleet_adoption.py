"""A fleet takes over what an earlier one left running, and nothing else."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleets import ENTRY, SECRET, Freeze, StartFleet, ask, processes_below

from hotswap import wire
from hotswap.fleet import Fleet, Run, Started
from hotswap.process import Identity
from hotswap.process.runs import Runs
from hotswap.store import Store

pytestmark = pytest.mark.system

OWNER = """
import sys
from pathlib import Path
from hotswap.fleet import Fleet
from hotswap.store import Store
store, run_dir, secret, snapshot, entry = sys.argv[1:]
fleet = Fleet(Store(Path(store)), Path(run_dir), secret)
for number in range(2):
    print(fleet.ensure(f"p{number}", snapshot, entry, {"kept": number}).instance, flush=True)
sys.stdin.read()
"""

Change = Callable[[Run, int], Run]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "run")


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else, which must not be taken for ours nor be ended."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    assert process.poll() is None
    process.communicate()


def _forged(run: Run, change: Change, pid: int, runs: Runs) -> None:
    runs.forget(run)
    runs.save(change(run, pid))


def _other_start(run: Run, pid: int) -> Run:
    """What a record says after its process ended and the number was given to another."""
    return replace(run, identity=replace(run.identity, pid=pid))


def _other_boot(run: Run, pid: int) -> Run:
    return replace(run, identity=replace(Identity.of(pid), boot_id="an earlier boot"))


@pytest.mark.parametrize("change", [_other_start, _other_boot], ids=["reused number", "earlier boot"])
def test_a_process_that_got_the_number_of_another_is_not_adopted_nor_ended(
    start_fleet: StartFleet, freeze: Freeze, runs: Runs, bystander: subprocess.Popen[bytes], change: Change
) -> None:
    snapshot = freeze(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {"kept": 1})
    first.close()
    (run,) = [run for run in runs.load() if run.name == "one"]
    started.identity.kill()
    assert started.identity.wait(10)
    _forged(run, change, bystander.pid, runs)
    second = start_fleet()
    again = second.ensure("one", snapshot, ENTRY, {})
    assert again.identity.pid != bystander.pid
    assert ask(again, "arguments") == {"kept": 1}
    second.stop("one", grace=10)


def test_a_process_with_the_right_number_but_another_start_is_not_adopted(
    start_fleet: StartFleet, freeze: Freeze, runs: Runs
) -> None:
    snapshot = freeze(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {})
    first.close()
    (run,) = [run for run in runs.load() if run.name == "one"]
    later = replace(run.identity, start_time=run.identity.start_time - 1)
    _forged(run, lambda run, _: replace(run, identity=later), run.identity.pid, runs)
    again = start_fleet().ensure("one", snapshot, ENTRY, {})
    assert again.identity != started.identity
    started.identity.kill()


@pytest.mark.parametrize("secret", [SECRET, "another secret"], ids=["one of ours", "a stranger"])
def test_an_impostor_at_the_address_of_a_process_is_not_taken_for_it(
    start_fleet: StartFleet, freeze: Freeze, runs: Runs, secret: str
) -> None:
    snapshot = freeze(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {"unclaimed": 0.2})
    first.close()
    (run,) = [run for run in runs.load() if run.name == "one"]
    with _impostor(run, secret) as address:
        _forged(run, lambda run, _: replace(run, address=address), 0, runs)
        again = start_fleet().ensure("one", snapshot, ENTRY, {})
    assert again.instance != started.instance
    assert again.address not in (started.address, address)
    assert started.identity.wait(10)  # it was left alone, and ends as nobody wants it


class _impostor:
    """Answers at another address with everything the record tells, but not the token of the process."""

    def __init__(self, run: Run, secret: str) -> None:
        listener = wire.listen()
        self._address = wire.address_of(listener)
        hello = {**run.identity.to_dict(), "name": run.name, "instance": secrets.token_hex(16)}
        self._server = wire.Server(listener, secret, hello, {"stop": lambda: None})
        self._thread = threading.Thread(target=self._server.serve)

    def __enter__(self) -> wire.Address:
        self._thread.start()
        return self._address

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._thread.join()


def test_a_killed_owner_leaves_its_processes_at_work_for_the_next_fleet(
    start_fleet: StartFleet, store: Store, freeze_either: Freeze, tmp_path: Path
) -> None:
    snapshot = freeze_either(1)
    with _owner(store, tmp_path / "run", snapshot) as (owner, instances):
        owner.kill()
        owner.wait()
        fleet = start_fleet()
        found = [fleet.ensure(f"p{number}", snapshot, ENTRY, {}) for number in range(2)]
    assert [each.instance for each in found] == instances
    assert [ask(each, "arguments") for each in found] == [{"kept": 0}, {"kept": 1}]


def test_all_that_is_needed_to_find_a_process_is_on_record(
    start_fleet: StartFleet, store: Store, freeze_either_at_length: Freeze, tmp_path: Path
) -> None:
    snapshot = freeze_either_at_length(1)
    with _owner(store, tmp_path / "run", snapshot) as (owner, instances):
        owner.kill()
        owner.wait()
        for process in processes_below(tmp_path / "run"):
            assert _record(tmp_path / "run", process.pid)["identity"] == Identity.of(process.pid).to_dict()
        records = [json.loads(path.read_text()) for path in (tmp_path / "run").glob("p?.*.run.json")]
        assert sorted(record["instance"] for record in records) == sorted(instances)
        assert {record["snapshot"] for record in records} == {snapshot}
        for record in records:
            host, port = record["address"]
            wire.Client((host, port), SECRET).close()
    start_fleet()


def _record(run_dir: Path, pid: int) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in run_dir.glob("*.run.json")]
    (record,) = [record for record in found if record["identity"]["pid"] == pid]
    return dict(record)


class _owner:
    """Another process that owns the fleet; yields it and the instances of what it started."""

    def __init__(self, store: Store, run_dir: Path, snapshot: str) -> None:
        arguments = [str(store.root), str(run_dir), SECRET, snapshot, ENTRY]
        self._process = subprocess.Popen(
            [sys.executable, "-c", OWNER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> tuple[subprocess.Popen[str], list[str]]:
        assert self._process.stdout
        return self._process, [self._process.stdout.readline().strip() for _ in range(2)]

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def test_a_process_that_its_fleet_did_not_live_to_know_is_found(
    start_fleet: StartFleet, freeze_either: Freeze, runs: Runs
) -> None:
    snapshot = freeze_either(1)
    first = start_fleet()
    first.describe(snapshot)
    run = first._templates.fork(first._templates.birth("orphan", snapshot, ENTRY, {}))
    _wait_for(lambda: any(each.name == "orphan" for each in runs.load()))
    first.close()
    assert start_fleet().ensure("orphan", snapshot, ENTRY, {}).instance == run.instance


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_what_was_being_drained_is_not_adopted_nor_started_again(
    start_fleet: StartFleet, freeze_either: Freeze, work: Callable[[Fleet, str], Started], finish: Callable[[], None]
) -> None:
    first = start_fleet()
    snapshot = freeze_either(1)
    started = work(first, snapshot)
    first.drain("one")
    first.close()
    second = start_fleet()
    assert [each["state"] for each in second.processes() if each["name"] == "one"] == ["ending"]
    assert second.ensure("one", snapshot, ENTRY, {}).instance != started.instance
    finish()
    assert started.identity.wait(10)


def test_a_process_that_is_stopped_in_its_tracks_is_not_started_twice_under_its_name_by_adoption(
    start_fleet: StartFleet, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap.fleet._fleet.ADOPT_SECONDS", 0.3)
    monkeypatch.setattr("hotswap.fleet._fleet._ASK_SECONDS", 0.3)
    first = start_fleet()
    started = first.ensure("one", freeze(1), ENTRY, {})
    first.close()
    started.identity.signal(signal.SIGSTOP)
    second = start_fleet()
    assert [(each["pid"], each["state"]) for each in second.processes() if each["name"] == "one"] == [
        (started.identity.pid, "ending")
    ]
    second.stop("one", grace=0.2)
    assert not started.identity.alive()
