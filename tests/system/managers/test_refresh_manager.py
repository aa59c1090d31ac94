"""One refresh runs at a time, the newest wins, and nobody who waits for one is forgotten."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect
from refreshes import Participant, refresh_manager, restarted

from hotswap.cutover import Outcome
from hotswap.errors import DescribeError, HotswapError, SourceError, UnreachableError
from hotswap.generations import Generations
from hotswap.snapshot import Snapshot
from lab.managers.refresh import PolicyError, RefreshManager
from lab.records import Records

pytestmark = pytest.mark.system


@pytest.fixture
def participant() -> Participant:
    return Participant()


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database)


@pytest.fixture
def manager(tmp_path: Path, records: Records, participant: Participant) -> Iterator[RefreshManager]:
    manager = refresh_manager(tmp_path, records, participant)
    yield manager
    participant.gate.set()
    manager.stop()


def test_the_first_generation_is_live_when_the_manager_has_started(manager: RefreshManager, records: Records) -> None:
    manager.start()
    current = Generations(records.database).current()
    assert current is not None
    assert current.actor == "launch"


def test_first_code_that_does_not_work_does_not_keep_the_lab_from_starting(
    manager: RefreshManager, participant: Participant, records: Records
) -> None:
    participant.failure = DescribeError("broken", "app/x.py", 3)
    manager.start()
    assert Generations(records.database).current() is None
    rejected = records.events.find_one({"kind": "refresh.rejected"})
    assert rejected is not None
    assert (rejected["facts"]["path"], rejected["facts"]["line"]) == ("app/x.py", 3)


def test_without_auto_refresh_a_restart_keeps_the_current_generation(
    manager: RefreshManager, participant: Participant, records: Records
) -> None:
    Generations(records.database).promote(
        "f" * 64, expected=None, commit=None, dirty=False, environment="", actor="a", reason="r"
    )
    manager.start()
    assert manager.request("next", "ada", "test")["generation"] == 2
    assert participant.described == ["next"]


def test_the_newest_of_those_that_wait_wins(
    manager: RefreshManager, participant: Participant, records: Records
) -> None:
    manager.start()
    with ThreadPoolExecutor(4) as pool:
        running = pool.submit(manager.request, "slow", "ada", "test")
        assert participant.describing.wait(10)
        waiting = []
        for rev in ("b", "c"):
            waiting.append(pool.submit(manager.request, rev, "ada", "test"))
            _until_waiting(manager, rev)
        assert waiting[0].result(10)["outcome"] == Outcome.SUPERSEDED
        participant.gate.set()
        assert running.result(10)["outcome"] == Outcome.SUPERSEDED
        assert waiting[1].result(10)["outcome"] == Outcome.LIVE
    assert "b" not in participant.described
    outcomes = [refresh["outcome"] for refresh in records.refreshes.find({"rev": {"$in": ["slow", "b", "c"]}})]
    assert sorted(outcomes) == [Outcome.LIVE, Outcome.SUPERSEDED, Outcome.SUPERSEDED]


def _until_waiting(manager: RefreshManager, rev: str) -> None:
    with manager._changed:
        assert manager._changed.wait_for(
            lambda: manager._waiting is not None and manager._waiting.refresh.rev == rev, timeout=10
        )


def test_a_plan_makes_nothing_live(manager: RefreshManager, records: Records) -> None:
    manager.start()
    before = Generations(records.database).current()
    assert manager.plan("next")["commit"] == "next"
    assert Generations(records.database).current() == before


def test_a_burst_of_commits_ends_with_the_last_one_live(
    tmp_path: Path, records: Records, participant: Participant
) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@t", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    manager = refresh_manager(tmp_path, records, participant, '[general]\nauto_refresh = true\nbranch = "main"\n')
    manager.start()
    with records.database["current_generation"].watch(max_await_time_ms=500) as changes:
        for number in range(20):
            git("commit", "-q", "--allow-empty", "-m", str(number))
        last = git("rev-parse", "HEAD")
        while (current := Generations(records.database).current()) is None or current.commit != last:
            changes.try_next()
    manager.stop()
    told = list(records.refreshes.find({"trigger": "commit"}, sort=[("_id", 1)]))
    assert {refresh["outcome"] for refresh in told} <= {Outcome.LIVE, Outcome.SUPERSEDED}
    assert (told[-1]["rev"], told[-1]["outcome"]) == (last, Outcome.LIVE)


def test_a_save_beside_the_lab_package_is_taken_too(tmp_path: Path, records: Records, participant: Participant) -> None:
    (tmp_path / "units.py").touch()
    settings = '[general]\nauto_refresh = true\ntrigger = "save"\n[code]\nextra = ["units.py"]\n'
    manager = refresh_manager(tmp_path, records, participant, settings)
    manager.start()
    with records.refreshes.watch(max_await_time_ms=500) as changes:
        (tmp_path / "units.py").write_text("KELVIN = 273.15\n")
        while records.refreshes.find_one({"trigger": "save", "outcome": Outcome.UNCHANGED}) is None:
            changes.try_next()
    manager.stop()


def test_a_refresh_says_who_wanted_what_under_which_settings(manager: RefreshManager, records: Records) -> None:
    manager.start()
    told = manager.request("next", "ada", "test")
    kept = records.refreshes.find_one({"_id": told["_id"]})
    assert kept is not None
    assert (kept["actor"], kept["trigger"], kept["rev"]) == ("ada", "test", "next")
    assert (kept["commit"], kept["dirty"], kept["settings"]["general"]["simulation"]) == ("next", False, True)


def test_code_that_policy_refuses_is_neither_planned_nor_live(
    manager: RefreshManager, participant: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.start()

    def refuse(snapshot: Snapshot) -> None:
        raise PolicyError("not signed")

    monkeypatch.setattr(participant, "allow", refuse)
    told = manager.request("next", "ada", "test")
    assert (told["outcome"], told["error"]) == (Outcome.REJECTED, "not signed")
    assert "next" not in participant.described


def test_what_a_crash_left_running_is_ended_at_the_next_start(
    tmp_path: Path, records: Records, participant: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.refreshes.insert_one({"_id": "1", "outcome": None, "snapshot": "a" * 64})
    dismissed: list[str] = []
    monkeypatch.setattr(participant, "dismiss", dismissed.append)
    manager = refresh_manager(tmp_path, records, participant)
    manager.start()
    manager.stop()
    assert dismissed == ["a" * 64]


def test_what_is_rejected_is_told_to_who_asked(manager: RefreshManager, participant: Participant) -> None:
    manager.start()
    participant.failure = SourceError("no such revision")
    told = manager.request("x", "ada", "test")
    assert (told["outcome"], told["error"]) == (Outcome.REJECTED, "no such revision")


def test_an_unexpected_error_fails_one_refresh_only(
    manager: RefreshManager, participant: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.start()

    def broken(snapshot: Snapshot) -> dict[str, Any]:
        raise RuntimeError("a bug of ours")

    with monkeypatch.context() as patch, pytest.raises(HotswapError, match="a bug of ours"):
        patch.setattr(participant, "plan", broken)
        manager.request("x", "ada", "test")
    assert manager.request("y", "ada", "test")["outcome"] == Outcome.LIVE


def test_a_commit_is_tried_again_when_the_database_did_not_answer(
    manager: RefreshManager, participant: Participant, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.start()
    tries = iter([AutoReconnect("restarting"), None])

    def plan(snapshot: Snapshot) -> dict[str, Any]:
        if (failure := next(tries)) is not None:
            raise failure
        return {"drain_set": []}

    monkeypatch.setattr(participant, "plan", plan)
    with records.database["current_generation"].watch(max_await_time_ms=500) as changes:
        manager._on_commit("next")
        while (current := Generations(records.database).current()) is None or current.commit != "next":
            changes.try_next()


def test_a_person_is_told_that_the_database_did_not_answer(
    manager: RefreshManager, participant: Participant, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.start()

    def plan(snapshot: Snapshot) -> dict[str, Any]:
        raise AutoReconnect("restarting")

    monkeypatch.setattr(participant, "plan", plan)
    with pytest.raises(HotswapError, match="restarting"):
        manager.request("next", "ada", "test")
    kept = records.refreshes.find_one({"rev": "next"})
    assert kept is not None
    assert kept["outcome"] == Outcome.INTERRUPTED
    assert records.events.find_one({"kind": "refresh.failed"}) is not None


def test_rolling_back_makes_a_new_generation(manager: RefreshManager) -> None:
    manager.start()
    manager.request("next", "ada", "test")
    assert manager.roll_back(1, "ada")["generation"] == 3


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (PolicyError("Install numpy 1.0 again."), Outcome.REJECTED),
        (UnreachableError("The zygote does not answer."), Outcome.INTERRUPTED),
        (AutoReconnect("restarting"), Outcome.INTERRUPTED),
    ],
)
def test_a_roll_back_that_nobody_waits_for_says_itself_how_it_ended(
    manager: RefreshManager, records: Records, participant: Participant, failure: Exception, outcome: Outcome
) -> None:
    manager.start()
    participant.no_way_back = failure
    with records.refreshes.watch(full_document="updateLookup", max_await_time_ms=500) as changes:
        begun = manager.roll_back(1, "ada", wait=False)
        assert begun["outcome"] is None
        while (change := changes.try_next()) is None or change["fullDocument"]["outcome"] is None:
            pass
    kept = records.refreshes.find_one({"_id": begun["_id"]})
    assert kept is not None
    assert (kept["outcome"], str(failure) in kept["error"]) == (outcome, True)


def test_only_the_generation_that_is_meant_is_rolled_back(manager: RefreshManager) -> None:
    manager.start()
    manager.request("next", "ada", "test")
    with pytest.raises(HotswapError, match="Generation 1 is not current any more"):
        manager.roll_back(1, "lab", current=1)
    assert manager.roll_back(1, "lab", current=2)["generation"] == 3


def test_a_restart_does_not_bring_back_what_was_rolled_back(
    tmp_path: Path, manager: RefreshManager, records: Records, participant: Participant
) -> None:
    manager.start()
    manager.request("next", "ada", "test")
    manager.request(None, "ada", "test")
    rolled_back = manager.roll_back(2, "ada")["generation"]
    assert restarted(tmp_path, manager, records, participant) == rolled_back


def test_a_restart_takes_code_live_that_was_not_seen_before(
    tmp_path: Path, manager: RefreshManager, records: Records, participant: Participant
) -> None:
    manager.start()
    before = manager.request("next", "ada", "test")["generation"]
    participant.head = "unseen"
    assert restarted(tmp_path, manager, records, participant) == before + 1


@pytest.mark.parametrize(("auto_refresh", "rev"), [(False, f"version:{'f' * 64}"), (True, None)])
def test_a_launch_in_another_environment_makes_a_generation_with_it(
    tmp_path: Path, records: Records, participant: Participant, auto_refresh: bool, rev: str | None
) -> None:
    Generations(records.database).promote(
        "f" * 64, expected=None, commit=None, dirty=False, environment="", actor="a", reason="r"
    )
    participant.other_environment = True
    manager = refresh_manager(
        tmp_path, records, participant, f"[general]\nauto_refresh = {str(auto_refresh).lower()}\n"
    )
    manager.start()
    manager.stop()
    current = Generations(records.database).current()
    assert current is not None
    assert (current.number, current.commit) == (2, rev)


def test_where_new_code_is_refused_in_another_environment_the_current_one_is_taken_into_it(
    tmp_path: Path, records: Records, participant: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allow(snapshot: Snapshot) -> None:
        if snapshot.origin.commit is None:
            raise PolicyError("newest code is refused")

    Generations(records.database).promote(
        "f" * 64, expected=None, commit=None, dirty=False, environment="", actor="a", reason="r"
    )
    participant.other_environment = True
    monkeypatch.setattr(participant, "allow", allow)
    manager = refresh_manager(tmp_path, records, participant, "[general]\nauto_refresh = true\n")
    manager.start()
    manager.stop()
    current = Generations(records.database).current()
    assert current is not None
    assert (current.number, current.commit) == (2, f"version:{'f' * 64}")
