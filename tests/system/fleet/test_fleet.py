"""Version processes for real: forked or spawned, side by side, outliving their parents."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from fleets import ENTRY, Freeze, StartFleet, ask, parents

from hotswap.errors import DescribeError, ProcessError
from hotswap.fleet import Fleet, Limits, Started
from hotswap.process import Identity
from hotswap.store import Store

pytestmark = pytest.mark.system


class TestSideBySide:
    def test_two_versions_run_at_once_each_with_its_own_code(self, fleet: Fleet, freeze_either: Freeze) -> None:
        one = fleet.ensure("one", freeze_either(1), ENTRY, {})
        two = fleet.ensure("two", freeze_either(2), ENTRY, {})
        assert [ask(process, "version") for process in (one, two)] == [1, 2]
        assert [ask(process, "lazily") for process in (one, two)] == ["late 1", "late 2"]

    def test_child_processes_find_the_same_version(self, fleet: Fleet, freeze_either: Freeze) -> None:
        one = fleet.ensure("one", freeze_either(1), ENTRY, {})
        fleet.ensure("two", freeze_either(2), ENTRY, {})
        assert ask(one, "in_subprocess") == "1"
        assert ask(one, "in_spawned_process") == 1


def test_a_process_is_forked_unless_its_snapshot_must_be_spawned(
    fleet: Fleet, freeze_either: Freeze, request: pytest.FixtureRequest
) -> None:
    started = fleet.ensure("one", freeze_either(1), ENTRY, {})
    assert ask(started, "forked") == ("[forked]" in request.node.name)


def test_every_module_is_imported_before_workers_are_made(fleet: Fleet, freeze_either: Freeze) -> None:
    modules = fleet.describe(freeze_either(1))["modules"]
    assert set(modules) == {"sample_app", "sample_app.service", "sample_app.late", "sample_app.child"}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\ndef broken(:\n", 2, "SyntaxError"),
        ("import no_such_module_anywhere\n", 1, "ModuleNotFoundError"),
        ("x = 1\n\nx / 0\n", 3, "ZeroDivisionError"),
        ("raise SystemExit('stop')\n", 1, "SystemExit"),
    ],
)
def test_what_does_not_import_is_refused_with_file_and_line(
    fleet: Fleet, freeze: Freeze, text: str, line: int, what: str
) -> None:
    with pytest.raises(DescribeError, match=what) as caught:
        fleet.describe(freeze(1, extra=text))
    assert (caught.value.path, caught.value.line) == ("sample_app/extra.py", line)


def test_a_package_that_kills_its_process_is_refused(fleet: Fleet, freeze: Freeze) -> None:
    with pytest.raises(DescribeError, match=r"signal 11 \(SIGSEGV\)"):
        fleet.describe(freeze(1, extra="import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"))


def test_a_question_is_answered_in_a_fork_that_leaves_no_trace(fleet: Fleet, freeze: Freeze) -> None:
    text = "seen = []\ndef tell(package, number):\n    seen.append(number)\n    return {'of': package, 'seen': seen}\n"
    snapshot = freeze(1, teller=text)
    answers = [fleet.ask(snapshot, "sample_app.teller:tell", {"number": number}) for number in (1, 2)]
    assert answers == [{"of": "sample_app", "seen": [1]}, {"of": "sample_app", "seen": [2]}]


def test_a_process_that_fails_to_start_says_why(fleet: Fleet, freeze_either: Freeze) -> None:
    with pytest.raises(ProcessError, match="RuntimeError: told to fail"):
        fleet.ensure("one", freeze_either(1), ENTRY, {"fail": True})


def test_ensuring_twice_gives_the_same_process(fleet: Fleet, freeze_either_at_length: Freeze) -> None:
    snapshot = freeze_either_at_length(1)
    assert fleet.ensure("one", snapshot, ENTRY, {}) == fleet.ensure("one", snapshot, ENTRY, {})


def test_a_stopped_process_ends_and_is_forgotten(fleet: Fleet, freeze_either: Freeze) -> None:
    started = fleet.ensure("one", freeze_either(1), ENTRY, {})
    fleet.stop("one", grace=10)
    assert not started.identity.alive()
    assert "one" not in {process["name"] for process in fleet.processes()}


def _successor(fleet: Fleet, started: Started, snapshot: str) -> Started:
    assert started.identity.wait(10)
    return fleet.ensure(started.name, snapshot, ENTRY, {})


def test_a_killed_process_is_started_again(fleet: Fleet, freeze_either_at_length: Freeze) -> None:
    snapshot = freeze_either_at_length(1)
    started = fleet.ensure("one", snapshot, ENTRY, {})
    started.identity.kill()
    again = _successor(fleet, started, snapshot)
    assert again.instance != started.instance
    assert ask(again, "version") == 1


def test_the_death_of_zygote_and_template_does_not_end_workers(fleet: Fleet, freeze_either: Freeze) -> None:
    snapshot = freeze_either(1)
    started = fleet.ensure("one", snapshot, ENTRY, {})
    for identity in parents(fleet):
        identity.kill()
        assert identity.wait(10)
    assert ask(started, "version") == 1
    assert ask(fleet.ensure("two", snapshot, ENTRY, {}), "version") == 1


def test_the_next_fleet_adopts_what_runs(start_fleet: StartFleet, freeze_either: Freeze) -> None:
    snapshot = freeze_either(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {})
    first.close()
    assert start_fleet().ensure("one", snapshot, ENTRY, {}) == started


def test_the_next_fleet_starts_again_what_died_meanwhile(
    start_fleet: StartFleet, freeze_either_at_length: Freeze
) -> None:
    snapshot = freeze_either_at_length(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {"kept": 1})
    first.close()
    started.identity.kill()
    assert started.identity.wait(10)
    again = start_fleet().ensure("one", snapshot, ENTRY, {})
    assert ask(again, "arguments") == {"kept": 1}


def test_an_unclaimed_idle_process_ends_by_itself(start_fleet: StartFleet, freeze_either_at_length: Freeze) -> None:
    first = start_fleet()
    started = first.ensure("one", freeze_either_at_length(1), ENTRY, {"unclaimed": 0.2})
    assert started.identity.alive()
    first.close()
    assert started.identity.wait(10)
    start_fleet()


def test_no_zombie_is_left_by_processes_that_ended(fleet: Fleet, freeze_either_at_length: Freeze) -> None:
    snapshot = freeze_either_at_length(1)
    pids = [fleet.ensure(f"p{i}", snapshot, ENTRY, {}).identity.pid for i in range(3)]
    for i in range(3):
        fleet.stop(f"p{i}", grace=10)
    fleet.ensure("last", snapshot, ENTRY, {})
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_after_a_kill_the_next_process_of_that_name_is_another(fleet: Fleet, freeze_either_at_length: Freeze) -> None:
    snapshot = freeze_either_at_length(1)
    killed = fleet.ensure("one", snapshot, ENTRY, {})
    fleet.kill("one")
    assert not killed.identity.alive()
    assert fleet.ensure("one", snapshot, ENTRY, {}).instance != killed.instance


def test_a_template_that_was_too_slow_once_serves_again(
    tmp_path: Path, store: Store, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap.fleet._templates._MARGIN_SECONDS", 0.0)
    hurried = Fleet(store, tmp_path / "run2", "s", limits=Limits(seconds=1.0))
    snapshot = freeze(1)
    hurried.ensure("one", snapshot, ENTRY, {})
    template = parents(hurried)
    for identity in template:
        identity.signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        hurried.ensure("two", snapshot, ENTRY, {"unclaimed": 0.2})
    for identity in template:
        identity.signal(signal.SIGCONT)
    assert hurried.ensure("three", snapshot, ENTRY, {}).identity.alive()
    hurried.close(end=True)


def test_a_process_that_died_is_started_again_from_the_template_that_runs(
    start_fleet: StartFleet, freeze_either_at_length: Freeze
) -> None:
    first = start_fleet()
    started = first.ensure("one", freeze_either_at_length(1), ENTRY, {})
    before = parents(first)
    first.close()
    started.identity.kill()
    assert started.identity.wait(10)
    assert set(parents(start_fleet())) == set(before)


def test_parents_that_nobody_wants_end_by_themselves(
    start_fleet: StartFleet, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap.fleet._templates.UNCLAIMED_SECONDS", 0.2)
    first = start_fleet()
    first.ensure("one", freeze(1), ENTRY, {"unclaimed": 0.2})
    found = parents(first)
    assert len(found) == 2
    first.close()
    assert all(identity.wait(10) for identity in found)
    start_fleet()


def test_sigterm_ends_a_process(fleet: Fleet, freeze_either: Freeze) -> None:
    started = fleet.ensure("one", freeze_either(1), ENTRY, {})
    os.kill(started.identity.pid, signal.SIGTERM)
    assert started.identity.wait(10)


def test_a_zygote_that_dies_while_it_is_asked_is_replaced(start_fleet: StartFleet, freeze: Freeze) -> None:
    fleet = start_fleet()
    fleet.describe(freeze(1))
    (zygote,) = (Identity.from_dict(each["identity"]) for each in fleet.processes() if each["kind"] == "zygote")
    zygote.signal(signal.SIGSTOP)
    death = threading.Timer(0.5, zygote.kill)
    death.start()
    assert fleet.describe(freeze(2))["modules"]
    death.join()


def test_a_template_that_dies_while_it_is_asked_is_replaced(start_fleet: StartFleet, freeze: Freeze) -> None:
    fleet, snapshot = start_fleet(), freeze(1)
    fleet.describe(snapshot)
    (template,) = (Identity.from_dict(each["identity"]) for each in fleet.processes() if each["kind"] == "template")
    template.signal(signal.SIGSTOP)
    death = threading.Timer(0.5, template.kill)
    death.start()
    assert fleet.ensure("worker", snapshot, ENTRY, {}).identity.alive()
    death.join()
