"""Old code loses its workers when no task is pinned to it, and its state when nothing refers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from hotswap.generations import Generations, SnapshotState
from lab.catalog import Catalog
from lab.managers.bus import Bus
from lab.managers.commands import Commands
from lab.managers.refresh import RetirementManager
from lab.records import NEEDING, Records, TaskStatus, new_task

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64


class FakeFleet:
    def __init__(self) -> None:
        self.ended: list[str] = []
        self.busy = False
        self.while_ending: Callable[[], object] = lambda: None

    def end(self, snapshot: str) -> bool:
        self.while_ending()
        if not self.busy:
            self.ended.append(snapshot)
        return not self.busy


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database)


@pytest.fixture
def generations(records: Records) -> Generations:
    generations = Generations(records.database)
    for number, snapshot in enumerate([OLD, NEW]):
        generations.promote(
            snapshot, expected=number or None, commit=None, dirty=False, environment="", actor="a", reason="r"
        )
    return generations


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def retirement(records: Records, generations: Generations, fleet: FakeFleet) -> RetirementManager:
    return RetirementManager(records, Bus(records.database), fleet.end)


def pin(records: Records, status: TaskStatus) -> str:
    task = new_task("Heating", {}, samples=[], experiment="e")
    task["status"] = status
    task["pin"] = {"snapshot": OLD, "generation": 1, "commit": None, "dirty": False, "environment": ""}
    records.tasks.insert_one(task)
    return task["_id"]


def bind(records: Records) -> None:
    records.database["devices"].insert_one({"_id": "furnace", "binding": {"snapshot": OLD}})


def test_nothing_refers_to_it_so_all_of_it_goes(
    retirement: RetirementManager, generations: Generations, fleet: FakeFleet
) -> None:
    retirement.reconcile()
    assert fleet.ended == [OLD]
    assert generations.states.state(OLD) is SnapshotState.DRAINED
    assert generations.states.state(NEW) is SnapshotState.CURRENT


@pytest.mark.parametrize("status", NEEDING)
def test_a_pinned_task_keeps_its_workers(
    retirement: RetirementManager, records: Records, generations: Generations, fleet: FakeFleet, status: TaskStatus
) -> None:
    task = pin(records, status)
    retirement.reconcile()
    assert (fleet.ended, generations.states.state(OLD)) == ([], SnapshotState.DRAINING)
    records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.COMPLETED}})
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINED


def test_what_a_retry_needs_again_is_retired_again(
    retirement: RetirementManager, records: Records, generations: Generations, fleet: FakeFleet
) -> None:
    task = pin(records, TaskStatus.ERROR)
    retirement.reconcile()
    Commands(records, Catalog(records), revoke=lambda _: None, stop=lambda _: None, wake=lambda: None).retry(
        task, "ann"
    )
    assert generations.states.state(OLD) is SnapshotState.DRAINING
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING
    records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.COMPLETED}})
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINED
    assert fleet.ended == [OLD, OLD]


def test_a_task_made_ready_just_after_its_code_was_drained_has_it_retired_again(
    retirement: RetirementManager, records: Records, generations: Generations
) -> None:
    retirement.reconcile()
    pin(records, TaskStatus.READY)
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING


@pytest.mark.parametrize("state", [SnapshotState.CLOSING, SnapshotState.DRAINED])
def test_a_retry_that_comes_while_references_are_counted_keeps_the_snapshot(
    retirement: RetirementManager,
    records: Records,
    generations: Generations,
    fleet: FakeFleet,
    state: SnapshotState,
) -> None:
    """The count found nothing; the task is made ready before, or after, it is said to be drained."""
    task = pin(records, TaskStatus.ERROR)

    def retry() -> None:
        if state is SnapshotState.DRAINED:
            generations.states.move(OLD, {SnapshotState.CLOSING}, SnapshotState.DRAINED)
        assert generations.states.state(OLD) is state
        Commands(records, Catalog(records), revoke=lambda _: None, stop=lambda _: None, wake=lambda: None).retry(
            task, "ann"
        )

    fleet.while_ending = retry
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING


def test_a_device_on_its_way_to_it_keeps_the_snapshot(
    retirement: RetirementManager, records: Records, generations: Generations
) -> None:
    records.database["devices"].insert_one({"_id": "furnace", "binding": {"snapshot": NEW}, "rebind_to": OLD})
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING


@pytest.mark.parametrize("state", [SnapshotState.STAGED, SnapshotState.REJECTED, SnapshotState.DRAINED])
@pytest.mark.parametrize("refer", [bind, lambda records: pin(records, TaskStatus.LOST)])
def test_what_a_crash_left_referred_to_but_seemingly_unused_is_draining_after_a_start(
    retirement: RetirementManager, records: Records, generations: Generations, state: SnapshotState, refer: Any
) -> None:
    generations.states.record(OLD, state)
    refer(records)
    retirement.repair()
    assert generations.states.state(OLD) is SnapshotState.DRAINING


@pytest.mark.parametrize("state", [SnapshotState.DRAINING, SnapshotState.CLOSING, SnapshotState.STRANDED])
def test_code_that_old_work_needs_keeps_its_state_while_it_is_proposed_again(
    generations: Generations, state: SnapshotState
) -> None:
    generations.states.record(OLD, state)
    generations.states.stage(OLD, package="app")
    assert generations.states.state(OLD) is state


def test_old_work_that_goes_on_while_its_code_is_proposed_again_keeps_it_when_that_is_refused(
    generations: Generations,
) -> None:
    generations.states.stage(OLD)
    generations.states.need(OLD)
    generations.states.move(OLD, {SnapshotState.STAGED, SnapshotState.REJECTED}, SnapshotState.REJECTED)
    assert generations.states.state(OLD) is SnapshotState.DRAINING


def test_a_device_bound_to_it_needs_no_worker_but_keeps_the_snapshot(
    retirement: RetirementManager, records: Records, generations: Generations, fleet: FakeFleet
) -> None:
    bind(records)
    retirement.reconcile()
    retirement.reconcile()
    assert fleet.ended == [OLD]
    assert generations.states.state(OLD) is SnapshotState.DRAINING
    records.database["devices"].update_one({"_id": "furnace"}, {"$set": {"binding.snapshot": NEW}})
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINED


def test_what_was_retired_is_not_told_again_by_new_managers(
    retirement: RetirementManager, records: Records, fleet: FakeFleet
) -> None:
    bind(records)
    retirement.reconcile()
    RetirementManager(records, Bus(records.database), fleet.end).reconcile()
    assert records.events.count_documents({"kind": "version.retired", "subject": OLD}) == 1


def test_a_worker_that_runs_a_task_after_all_is_left_alone_until_it_has_ended(
    retirement: RetirementManager, generations: Generations, fleet: FakeFleet
) -> None:
    fleet.busy = True
    assert retirement.reconcile() is not None
    assert (fleet.ended, generations.states.state(OLD)) == ([], SnapshotState.DRAINING)
    fleet.busy = False
    assert retirement.reconcile() is None
    assert generations.states.state(OLD) is SnapshotState.DRAINED


def test_a_crash_while_closing_is_made_good(
    retirement: RetirementManager, records: Records, generations: Generations
) -> None:
    generations.states.move(OLD, {SnapshotState.DRAINING}, SnapshotState.CLOSING)
    pin(records, TaskStatus.RUNNING)
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING


def test_what_goes_live_again_while_it_is_retired_stays_live(
    retirement: RetirementManager, generations: Generations, fleet: FakeFleet
) -> None:
    fleet.while_ending = lambda: generations.roll_back(1, expected=2, actor="a", reason="r")
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.CURRENT
