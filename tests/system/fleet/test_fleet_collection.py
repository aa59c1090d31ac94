"""A collection removes no code that runs, whoever of its parents died; what is gone is not started again."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleets import ENTRY, Freeze, StartFleet, parents

from hotswap.errors import UnknownSnapshotError
from hotswap.store import Retention, Store

pytestmark = pytest.mark.system


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose snapshots no other test needs."""
    return Store(tmp_path / "store")


def test_a_process_whose_snapshot_is_gone_is_given_up(start_fleet: StartFleet, store: Store, freeze: Freeze) -> None:
    first = start_fleet()
    snapshot = freeze(1)
    started = first.ensure("one", snapshot, ENTRY, {})
    first.release(snapshot)
    first.close()
    started.identity.kill()
    assert started.identity.wait(10)
    _collect(store)
    second = start_fleet()
    assert [each for each in second.processes() if each["kind"] == "process"] == []
    with pytest.raises(UnknownSnapshotError):
        second.ensure("one", snapshot, ENTRY, {})


def _collect(store: Store) -> set[str]:
    """Collect whatever nothing keeps; the snapshots that are left."""
    store.collect((), Retention(keep_last=0, keep_days=0, grace_seconds=0))
    return {snapshot.id for snapshot in store.list()}


def test_the_code_of_a_running_process_is_not_collected(
    start_fleet: StartFleet, store: Store, freeze_either: Freeze
) -> None:
    fleet, snapshot = start_fleet(), freeze_either(1)
    started = fleet.ensure("one", snapshot, ENTRY, {})
    assert _collect(store) == {snapshot}
    fleet.release(snapshot)
    assert _collect(store) == {snapshot}
    fleet.stop("one", grace=10)
    assert not started.identity.alive()
    assert _collect(store) == set()


def test_the_code_of_a_process_is_not_collected_after_all_its_parents_were_killed(
    start_fleet: StartFleet, store: Store, freeze_either: Freeze
) -> None:
    snapshot = freeze_either(1)
    fleet = start_fleet()
    fleet.ensure("one", snapshot, ENTRY, {})
    for identity in parents(fleet):
        identity.kill()
        assert identity.wait(10)
    fleet.close()
    assert _collect(store) == {snapshot}
    start_fleet()
