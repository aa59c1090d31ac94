"""The host runs exactly what is wanted: started warm, drained, stopped by instance, restarted with a reason."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fleets import ENTRY, SECRET, Freeze, StartFleet, ask

from hotswap import wire
from hotswap.errors import DescribeError, ProcessError
from hotswap.fleet import Fleet, FleetClient, Started, Wanted, serve_fleet
from hotswap.process import Identity

pytestmark = pytest.mark.system

Work = Callable[[Fleet, str], Started]


def _named(fleet: Fleet, name: str) -> list[dict[str, Any]]:
    return [each for each in fleet.processes() if each["name"] == name]


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_exactly_the_wanted_processes_run(fleet: Fleet, freeze: Freeze) -> None:
    old, new = freeze(1), freeze(2)
    fleet.reconcile([Wanted("old", old, ENTRY), Wanted("both", old, ENTRY)])
    found = fleet.reconcile([Wanted("both", old, ENTRY), Wanted("new", new, ENTRY, {"kept": 1})])
    assert set(found) == {"both", "new"}
    assert ask(found["new"], "arguments") == {"kept": 1}
    _wait_for(lambda: not _named(fleet, "old"))
    assert {each["name"] for each in fleet.processes() if each["kind"] == "process"} == {"both", "new"}


def test_what_is_wanted_already_is_left_alone(fleet: Fleet, freeze: Freeze) -> None:
    wanted = [Wanted("one", freeze(1), ENTRY)]
    assert fleet.reconcile(wanted) == fleet.reconcile(wanted)


def test_a_template_that_nothing_wanted_needs_ends(fleet: Fleet, freeze: Freeze) -> None:
    old, new = freeze(1), freeze(2)
    fleet.reconcile([Wanted("old", old, ENTRY)])
    fleet.reconcile([Wanted("new", new, ENTRY)])
    assert [each["snapshot"] for each in fleet.processes() if each["kind"] == "template"] == [new]


def test_what_does_not_start_does_not_keep_the_others_from_it(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    with pytest.raises(ProcessError, match="bad did not start: RuntimeError: told to fail"):
        fleet.reconcile([Wanted("bad", snapshot, ENTRY, {"fail": True}), Wanted("good", snapshot, ENTRY)])
    assert [each["state"] for each in _named(fleet, "good")] == ["running"]


def test_what_is_no_longer_wanted_ends_after_its_work(
    fleet: Fleet, freeze_either_at_length: Freeze, work: Work, finish: Callable[[], None]
) -> None:
    started = work(fleet, freeze_either_at_length(1))
    fleet.reconcile([])
    assert started.identity.alive()
    assert [each["state"] for each in _named(fleet, "one")] == ["ending"]
    finish()
    assert started.identity.wait(10)
    _wait_for(lambda: not _named(fleet, "one"))


def test_a_new_version_of_a_process_serves_before_the_old_one_is_drained(
    fleet: Fleet, freeze: Freeze, work: Work, finish: Callable[[], None]
) -> None:
    old = work(fleet, freeze(1))
    new = fleet.ensure("one", freeze(2), ENTRY, {})
    assert ask(new, "version") == 2
    assert {each["state"] for each in _named(fleet, "one")} == {"running", "ending"}
    finish()
    assert old.identity.wait(10)


def test_a_drained_process_that_is_stopped_is_ended(fleet: Fleet, freeze: Freeze, work: Work) -> None:
    started = work(fleet, freeze(1))
    fleet.drain("one")
    fleet.stop("one", grace=0.1)
    assert not started.identity.alive()
    assert _named(fleet, "one") == []


def test_stopping_an_instance_spares_its_successor(fleet: Fleet, freeze_either_at_length: Freeze) -> None:
    snapshot = freeze_either_at_length(1)
    first = fleet.ensure("one", snapshot, ENTRY, {})
    first.identity.kill()
    assert first.identity.wait(10)
    second = fleet.ensure("one", snapshot, ENTRY, {})
    fleet.stop("one", grace=10, instance=first.instance)
    assert fleet.ensure("one", snapshot, ENTRY, {}) == second
    fleet.stop("one", grace=10, instance=second.instance)
    assert not second.identity.alive()


def test_draining_an_instance_spares_its_successor(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    first = fleet.ensure("one", snapshot, ENTRY, {})
    fleet.drain("one", instance="another")
    assert fleet.ensure("one", snapshot, ENTRY, {}) == first


def test_a_process_that_hangs_is_ended_after_its_grace(fleet: Fleet, freeze: Freeze) -> None:
    started = fleet.ensure("one", freeze(1), ENTRY, {})
    started.identity.signal(signal.SIGSTOP)
    fleet.stop("one", grace=0.2)
    assert not started.identity.alive()


CRASHES = """
import os
from hotswap.process import serve
def main(context):
    def crash():
        print("about to fall", flush=True)
        os._exit(7)
    serve(context, {"crash": crash}, idle=lambda: True)
"""


def test_why_a_process_crashed_is_told(fleet: Fleet, freeze_either_at_length: Freeze) -> None:
    started = fleet.ensure("one", freeze_either_at_length(1, crashing=CRASHES), "sample_app.crashing:main", {})
    with pytest.raises(ConnectionError):
        ask(started, "crash")
    _wait_for(lambda: [each["why"] for each in _named(fleet, "one") if each["state"] == "running" and each["why"]])
    (process,) = [each for each in _named(fleet, "one") if each["state"] == "running"]
    assert process["why"].startswith("exit code 7; its log ends: ")
    assert process["why"].endswith("about to fall")
    assert process["deaths"] == 1


def test_the_signal_that_killed_a_process_is_told(fleet: Fleet, freeze_either: Freeze) -> None:
    started = fleet.ensure("one", freeze_either(1), ENTRY, {})
    started.identity.kill()
    _wait_for(lambda: [each["why"] for each in _named(fleet, "one") if each["state"] == "running" and each["why"]])
    (process,) = [each for each in _named(fleet, "one") if each["state"] == "running"]
    assert process["why"].startswith("signal 9 (SIGKILL)")


def test_one_that_crashes_again_and_again_is_started_later_and_later(
    fleet: Fleet, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[int] = []
    enough = threading.Event()

    def note(deaths: int) -> float:
        delays.append(deaths)
        if len(delays) >= 4:
            enough.set()
        return 0.0 if len(delays) < 4 else 60.0

    monkeypatch.setattr("hotswap.fleet._fleet.restart_delay", note)
    snapshot = freeze(1)
    identity = fleet.ensure("one", snapshot, ENTRY, {}).identity
    while not enough.is_set():
        identity.kill()
        identity = _successor(fleet, identity, enough)
    assert delays == [1, 2, 3, 4]
    assert [each["state"] for each in _named(fleet, "one")] == ["restarting"]


def _successor(fleet: Fleet, identity: Identity, enough: threading.Event) -> Identity:
    """The next process called ``one``, or the same when there are enough."""
    running: list[Identity] = []

    def changed() -> bool:
        found = [Identity.from_dict(each["identity"]) for each in _named(fleet, "one") if each["state"] == "running"]
        running[:] = [each for each in found if each != identity]
        return bool(running) or enough.is_set()

    _wait_for(changed)
    return running[0] if running else identity


def test_a_closed_fleet_starts_nothing(start_fleet: StartFleet, freeze: Freeze) -> None:
    fleet = start_fleet()
    fleet.close(end=True)
    with pytest.raises(ProcessError, match="The fleet is closed"):
        fleet.ensure("one", freeze(1), ENTRY, {})


def test_closing_does_not_wait_for_an_import_that_never_ends(start_fleet: StartFleet, freeze: Freeze) -> None:
    fleet = start_fleet()
    snapshot = freeze(1, endless="import threading\nthreading.Event().wait()\n")
    errors: list[Exception] = []

    def describe() -> None:
        try:
            fleet.describe(snapshot)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=describe)
    thread.start()
    _wait_for(lambda: any(each["kind"] == "template" for each in fleet.processes()))
    fleet.close(end=True)
    thread.join()
    assert "ended its process while it was imported" in str(errors[0])


def test_what_is_being_started_can_be_given_up_while_the_rest_runs_on(start_fleet: StartFleet, freeze: Freeze) -> None:
    fleet = start_fleet()
    started = fleet.ensure("one", freeze(1), ENTRY, {})
    endless = freeze(2, endless="import threading\nthreading.Event().wait()\n")

    def describe() -> None:
        with pytest.raises(DescribeError):
            fleet.describe(endless)

    thread = threading.Thread(target=describe)
    thread.start()
    _wait_for(lambda: [each for each in fleet.processes() if each["snapshot"] == endless])
    fleet.interrupt()
    thread.join(10)
    assert not thread.is_alive()
    assert ask(started, "version") == 1


def test_a_second_fleet_on_the_folder_of_one_is_refused(start_fleet: StartFleet) -> None:
    first = start_fleet()
    with pytest.raises(ProcessError, match=rf"The fleet of process {os.getpid()} looks after \S+/run: end that one"):
        start_fleet()
    first.close()
    start_fleet()


def test_managers_reach_the_fleet_over_a_connection(fleet: Fleet, freeze: Freeze) -> None:
    listener = wire.listen()
    server = serve_fleet(fleet, listener, SECRET)
    client = FleetClient(wire.address_of(listener), SECRET)
    thread = threading.Thread(target=server.serve)
    thread.start()
    started = client.ensure("one", freeze(1), ENTRY, {}, timeout=5)
    client.stop("one", grace=10, instance="another")
    assert started.identity.alive()
    client.drain("one", instance=started.instance)
    assert started.identity.wait(10)
    server.stop()
    thread.join()
