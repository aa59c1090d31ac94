"""Collecting: what nothing refers to goes, whatever anybody may still need stays, and each decision says why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from forgetful_disk import intercepted, unhurried
from held_source import CODE, EMPTY, Held, debris, version

from hotswap.errors import StoreError, UnknownSnapshotError
from hotswap.store import Decision, Owner, Retention, Store

AT_ONCE = Retention(keep_last=0, keep_days=0, grace_seconds=0)
LONG_AGO = datetime.now(UTC) - timedelta(days=40)


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """What a disk may forget is tested elsewhere."""
    with unhurried():
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def frozen(store: Store) -> list[str]:
    """The ids of four versions, the oldest first, all used 40 days ago for the last time."""
    ids = [store.freeze(version(number), EMPTY).id for number in range(4)]
    for one in ids:
        age(store, one, LONG_AGO)
    return ids


def age(store: Store, identity: str, used: datetime) -> None:
    os.utime(store.root / "manifests" / f"{identity}.json", (used.timestamp(), used.timestamp()))


def kept(decisions: list[Decision]) -> list[str]:
    return [one.snapshot for one in decisions if one.keep]


def reasons(store: Store, references: object = (), retention: Retention = AT_ONCE) -> dict[str, str]:
    decisions = store.collect(references, retention)  # type: ignore[arg-type]
    assert kept(list(decisions)) == [one.id for one in store.list()]
    return {one.snapshot: one.reason for one in decisions}


def test_what_nothing_refers_to_goes_with_all_its_files(store: Store, frozen: list[str]) -> None:
    told = reasons(store, retention=AT_ONCE)
    assert told[frozen[3]] == "last used 40 days ago, nothing refers to it"
    assert told[frozen[0]] == "superseded, last used 40 days ago, nothing refers to it"
    assert [path for path in (store.root / "objects").rglob("*") if path.is_file()] == []
    assert list((store.root / "trees").iterdir()) == []
    assert store.verify() == []


def test_every_reference_is_kept_whole_the_newest_too(store: Store, frozen: list[str]) -> None:
    wanted = [frozen[1], frozen[3]]
    assert set(kept(list(store.collect(wanted, AT_ONCE)))) == set(wanted)
    assert {one.id for one in store.list()} == set(wanted)
    assert store.verify() == []
    assert debris(store) == []


@pytest.mark.parametrize("number", range(4))
def test_a_single_reference_is_kept(store: Store, frozen: list[str], number: int) -> None:
    store.collect([frozen[number]], AT_ONCE)
    assert [one.id for one in store.list()] == [frozen[number]]


def test_what_refers_to_a_snapshot_is_told(store: Store, frozen: list[str]) -> None:
    told = reasons(store, {frozen[0]: "pinned by task 7"})
    assert told[frozen[0]] == "pinned by task 7"


def test_references_are_full_ids_lest_a_short_one_be_overlooked(store: Store, frozen: list[str]) -> None:
    with pytest.raises(StoreError, match="is not the full id"):
        store.collect([frozen[0][:12]], AT_ONCE)
    assert len(store.list()) == 4


def test_the_newest_of_each_package_are_kept(store: Store, frozen: list[str]) -> None:
    other = store.freeze(Held({"tools/__init__.py": b""}, package="tools"), EMPTY).id
    told = reasons(store, retention=Retention(keep_last=2, keep_days=0, grace_seconds=0))
    assert {one for one in told if told[one] == "among the 2 newest of my_lab"} == set(frozen[2:])
    assert told[other] == "among the 2 newest of tools"


def test_what_was_used_recently_is_kept(store: Store, frozen: list[str]) -> None:
    age(store, frozen[0], datetime.now(UTC) - timedelta(days=2, minutes=1))
    told = reasons(store, retention=Retention(keep_last=0, keep_days=3, grace_seconds=0))
    assert told[frozen[0]] == "last used 2 days ago, kept for 3 days"
    assert [one.id for one in store.list()] == [frozen[0]]


HANDING_OUT: dict[str, Callable[[Store, str], object]] = {
    "freeze": lambda store, one: store.freeze(version(0), EMPTY),
    "open": lambda store, one: store.open(one),
    "resolve": lambda store, one: store.resolve(one[:20]),
    "tree": lambda store, one: store.tree(one),
    "read": lambda store, one: store.read(one, "my_lab/__init__.py"),
}


@pytest.mark.parametrize("way", HANDING_OUT)
def test_an_id_that_somebody_just_got_is_kept_for_a_while(store: Store, frozen: list[str], way: str) -> None:
    HANDING_OUT[way](store, frozen[0])
    told = reasons(store, retention=Retention(keep_last=0, keep_days=0))
    assert told[frozen[0]].startswith("its id was handed out 0 seconds ago, kept until ")
    age(store, frozen[0], datetime.now(UTC) - timedelta(hours=2))
    assert reasons(store, retention=Retention(keep_last=0, keep_days=0))[frozen[0]].startswith("last used 2 hours ago")
    assert store.list() == []


@pytest.mark.parametrize("look", [Store.list, Store.verify], ids=["list", "verify"])
def test_looking_after_a_store_hands_out_nothing(
    store: Store, frozen: list[str], look: Callable[[Store], object]
) -> None:
    look(store)
    store.collect(retention=Retention(keep_last=0, keep_days=0))
    assert store.list() == []


def test_a_new_snapshot_is_kept_for_a_while_and_the_reason_says_until_when(store: Store) -> None:
    snapshot = store.freeze(version(0), EMPTY)
    (reason,) = reasons(store, retention=Retention(keep_last=0, keep_days=0, grace_seconds=90)).values()
    until = (store.root / "manifests" / f"{snapshot.id}.json").stat().st_mtime + 90
    told = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert reason == f"its id was handed out 0 seconds ago, kept until {told}"


def test_a_snapshot_in_use_is_kept_until_it_is_not(store: Store, frozen: list[str]) -> None:
    with store.use(frozen[0]) as snapshot:
        assert snapshot.id == frozen[0]
        assert reasons(store)[frozen[0]] == "in use"
        assert store.open(frozen[0]) == snapshot
    store.collect(retention=AT_ONCE)
    with pytest.raises(UnknownSnapshotError), store.use(frozen[0]):
        pass


def test_many_may_use_a_snapshot_at_once(store: Store, frozen: list[str]) -> None:
    with store.use(frozen[0]):
        with store.use(frozen[0]):
            pass
        assert reasons(store)[frozen[0]] == "in use"


def test_what_is_held_is_kept_until_it_is_released(store: Store, frozen: list[str]) -> None:
    store.hold(frozen[0], "paper 12")
    store.hold(frozen[0][:12], "the audit")
    store.hold(frozen[0], "paper 12")
    age(store, frozen[0], LONG_AGO)
    assert store.holds(frozen[0]) == ("paper 12", "the audit")
    assert reasons(Store(store.root))[frozen[0]] == "held for 'paper 12' and 'the audit'"
    assert store.release(frozen[0], "paper 12") == ("paper 12",)
    assert reasons(store)[frozen[0]] == "held for 'the audit'"
    assert store.release(frozen[0]) == ("the audit",)
    assert store.holds(frozen[0]) == ()
    assert reasons(store)[frozen[0]].endswith("nothing refers to it")


def test_releasing_what_is_not_held_drops_nothing(store: Store, frozen: list[str]) -> None:
    store.hold(frozen[0], "paper 12")
    assert store.release(frozen[0], "paper 13") == ()
    assert store.holds(frozen[0]) == ("paper 12",)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_hold_needs_a_reason(store: Store, frozen: list[str], reason: str) -> None:
    with pytest.raises(StoreError, match="needs a reason"):
        store.hold(frozen[0], reason)
    with pytest.raises(StoreError, match="needs a reason"):
        store.freeze(version(9), EMPTY, hold=reason)
    assert len(store.list()) == 4


def test_what_does_not_exist_cannot_be_held(store: Store) -> None:
    with pytest.raises(UnknownSnapshotError):
        store.hold("0" * 64, "paper 12")
    assert not store.root.exists()


def test_a_freeze_can_hold_what_it_makes_before_anybody_sees_it(store: Store) -> None:
    held = []

    def watch(name: str, do: Callable[[], object], arguments: tuple[object, ...]) -> object:
        if name == "rename" and "/manifests/" in str(arguments[1]):
            held.append([path.name[:64] for path in (store.root / "holds").iterdir()])
        return do()

    with intercepted(watch):
        snapshot = store.freeze(version(0), EMPTY, hold="a task")
    assert held == [[snapshot.id]]
    assert store.holds(snapshot.id) == ("a task",)


def test_freezing_what_is_known_can_hold_it_too(store: Store, frozen: list[str]) -> None:
    again = store.ensure(version(0), EMPTY, hold="a task")
    assert (again.new, store.holds(frozen[0])) == (False, ("a task",))


def test_a_hold_whose_file_is_damaged_still_holds(store: Store, frozen: list[str]) -> None:
    store.hold(frozen[0], "paper 12")
    age(store, frozen[0], LONG_AGO)
    (path,) = (store.root / "holds").iterdir()
    path.chmod(0o644)
    path.write_bytes(b"")
    assert reasons(store)[frozen[0]] == f"held for 'a reason that cannot be read from {path.name}'"


def test_a_dry_run_changes_nothing_and_says_what_would_happen(store: Store, frozen: list[str]) -> None:
    retention = Retention(keep_last=1, keep_days=0, grace_seconds=0)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    would = store.collect([frozen[0]], retention, dry_run=True)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before
    did = store.collect([frozen[0]], retention)
    assert would == did
    assert [one.keep for one in did] == [True, False, False, True]


def test_a_dry_run_tells_of_use(store: Store, frozen: list[str]) -> None:
    with store.use(frozen[0]):
        decisions = store.collect(retention=AT_ONCE, dry_run=True)
    assert [one.snapshot for one in decisions if one.reason == "in use"] == [frozen[0]]


def test_the_sizes_add_up_to_what_is_freed(store: Store, frozen: list[str]) -> None:
    before = occupied(store)
    decisions = store.collect([frozen[0]], AT_ONCE)
    assert before - occupied(store) == sum(one.size for one in decisions if not one.keep)


def occupied(store: Store) -> int:
    """Bytes of all contents, each file counted once however many names it has."""
    places = (path for place in ("objects", "trees") for path in (store.root / place).rglob("*") if path.is_file())
    return sum({path.stat().st_ino: path.stat().st_size for path in places}.values())


def test_content_that_was_collected_is_stored_again(store: Store) -> None:
    first = store.freeze(Held(CODE, keyed=True), EMPTY).id
    store.collect(retention=AT_ONCE)
    for reader in (store, Store(store.root)):
        again = reader.freeze(Held(CODE, keyed=True), EMPTY)
        assert (again.id, reader.verify()) == (first, [])
        reader.collect(retention=AT_ONCE)


def test_what_a_failed_freeze_left_is_swept(store: Store, frozen: list[str]) -> None:
    orphan = store.root / "objects" / "ab" / ("c" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"")
    (store.root / "trees" / ".old-x" / "my_lab").mkdir(parents=True)
    store.collect(frozen, AT_ONCE)
    assert not orphan.exists()
    assert debris(store) == []


@pytest.mark.parametrize("broken", [b"{}", b'{"format": 2}'], ids=["damaged", "of another version"])
def test_while_one_manifest_cannot_be_read_it_is_kept_and_no_object_goes(
    store: Store, frozen: list[str], broken: bytes
) -> None:
    manifest = store.root / "manifests" / f"{frozen[0]}.json"
    manifest.chmod(0o644)
    whole = manifest.read_bytes()
    manifest.write_bytes(broken)
    decisions = store.collect(retention=AT_ONCE)
    assert kept(list(decisions)) == [frozen[0]]
    manifest.write_bytes(whole)
    assert store.verify() == []


def hand_out(store: Store, identity: str, saved: ExitStack) -> None:
    store.resolve(identity)


def hold(store: Store, identity: str, saved: ExitStack) -> None:
    store.hold(identity, "paper 12")
    age(store, identity, LONG_AGO)


def use(store: Store, identity: str, saved: ExitStack) -> None:
    saved.enter_context(store.use(identity))
    age(store, identity, LONG_AGO)


@pytest.mark.parametrize("save", [hand_out, hold, use])
def test_a_snapshot_that_is_needed_after_the_decision_and_before_the_deed_stays(
    store: Store, frozen: list[str], save: Callable[[Store, str, ExitStack], None]
) -> None:
    locks = iter(range(1000))
    saved = ExitStack()

    def intervene(name: str, do: Callable[[], object], arguments: tuple[object, ...]) -> object:
        if name == "open_lock" and str(arguments[0]).endswith("/lock") and next(locks) == 1:
            save(Store(store.root), frozen[3], saved)  # the first lock was for tidying up, this one is for removing it
        return do()

    with saved:
        with intercepted(intervene):
            decisions = store.collect(retention=Retention(keep_last=0, keep_days=0))
        assert kept(list(decisions)) == [frozen[3]]
        assert store.open(frozen[3])


def test_a_freeze_that_comes_while_objects_are_swept_loses_nothing(
    store: Store, frozen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep was about to remove the objects that the freeze uses again."""
    other, pauses = Store(store.root), iter(range(1000))

    def pause() -> None:
        if next(pauses) == len(frozen):  # all snapshots are gone, and one object
            other.freeze(version(2), EMPTY)

    monkeypatch.setattr("hotswap.store._collecting._PIECE", 1)
    monkeypatch.setattr("hotswap.store._collecting._give_way", pause)
    store.collect(retention=AT_ONCE)
    assert next(pauses) > len(frozen) + 1
    assert [one.id for one in store.list()] == [frozen[2]]
    assert store.verify() == []


def test_collecting_from_a_store_that_does_not_exist_does_not_make_one(store: Store) -> None:
    assert store.collect() == []
    assert not store.root.exists()


def test_a_store_knows_its_owner(store: Store) -> None:
    assert store.owner is None
    store.claim("the laboratory north", "lab collect")
    store.claim("the laboratory north", "lab collect --all")
    assert Store(store.root).owner == Owner("the laboratory north", "lab collect --all")
    assert json.loads((store.root / "owner.json").read_text())["how"] == "lab collect --all"


def test_a_store_has_one_owner(store: Store) -> None:
    store.claim("the laboratory north", "lab collect")
    with pytest.raises(StoreError, match=r"belongs to the laboratory north: .* delete .*owner\.json"):
        store.claim("the laboratory south", "lab collect")


def test_an_owner_that_cannot_be_read_is_told(store: Store) -> None:
    store.claim("the laboratory north", "lab collect")
    (store.root / "owner.json").chmod(0o644)
    (store.root / "owner.json").write_text("{")
    with pytest.raises(StoreError, match=r"owner\.json cannot be read"):
        _ = store.owner
