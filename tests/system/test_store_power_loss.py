"""The order of writing, flushing and renaming: whatever a disk forgets when the power goes, the store is sound.

A process that is killed cannot show this, because the kernel goes on. So the system calls of a change are recorded,
and after each of them every disk is made that could be found then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forgetful_disk import Interruption, PowerCut, intercepted, unhurried
from held_source import CODE, EMPTY, Held, debris, version
from power_loss import Event, ForgetfulDisk, Image, Recorder, write_image

from hotswap import _disk
from hotswap.store import Retention, Store

pytestmark = pytest.mark.system

NEW = Held({**CODE, "my_lab/shared.txt": b"shared"}, modes={"my_lab/data.txt": 0o755})
AT_ONCE = Retention(keep_last=1, keep_days=0, grace_seconds=0)


def no_store(store: Store) -> None:
    pass


def two_versions(store: Store) -> None:
    store.freeze(version(1), EMPTY)
    store.freeze(version(2), EMPTY)


def a_freeze_that_was_cut_off(store: Store) -> None:
    """Two versions, and all of a third but its manifest."""
    two_versions(store)
    with pytest.raises(PowerCut), intercepted(cut_before_publication()):
        freeze(store)


def cut_before_publication() -> Interruption:
    gone = False

    def interrupt(name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        nonlocal gone
        gone = gone or (name == "rename" and "/manifests/" in arguments[1])
        if gone:
            raise PowerCut
        return do()

    return interrupt


def freeze(store: Store) -> None:
    store.freeze(NEW, EMPTY, hold="paper 13")


def collect(store: Store) -> None:
    store.collect(retention=AT_ONCE)


changes = pytest.mark.parametrize(
    ("prepare", "change"),
    [(no_store, freeze), (two_versions, freeze), (two_versions, collect), (a_freeze_that_was_cut_off, freeze)],
    ids=["first-freeze", "freeze", "collection", "freeze-after-a-crash"],
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What the model calls the disk; the store is a folder on it."""
    path = tmp_path / "disk"
    path.mkdir()
    return path


def recorded(
    root: Path, prepare: Callable[[Store], None], change: Callable[[Store], None]
) -> tuple[ForgetfulDisk, list[Event]]:
    """The disk before a change, and the change."""
    store = Store(root / "store")
    prepare(store)
    disk, recorder = ForgetfulDisk(root), Recorder(root)
    with recorder.recording():
        change(store)
    return disk, recorder.events


def distinct(images: Iterator[Image], seen: set[Any]) -> Iterator[Image]:
    for image in images:
        signature = frozenset(image.items())
        if signature not in seen:
            seen.add(signature)
            yield image


def ids(store: Store) -> frozenset[str]:
    return frozenset(store.open(one.id).id for one in store.list())


@changes
def test_whatever_a_disk_forgets_there_is_all_of_a_snapshot_or_nothing(
    root: Path, tmp_path: Path, prepare: Callable[[Store], None], change: Callable[[Store], None]
) -> None:
    disk, events = recorded(root, prepare, change)
    before = ids_before(tmp_path, prepare)
    after = ids(Store(root / "store"))
    seen: set[Any] = set()
    for number, event in enumerate([("nothing",), *events]):
        if number:
            disk.apply(event)
        for image in distinct(disk.images(), seen):
            place = tmp_path / f"image-{len(seen)}"
            write_image(image, place)
            with unhurried():
                check(Store(place / "store"), change, before, after, events[:number])
    assert len(seen) > 30, "so many different disks may be found"


def ids_before(tmp_path: Path, prepare: Callable[[Store], None]) -> frozenset[str]:
    store = Store(tmp_path / "before")
    prepare(store)
    return ids(store)


def check(
    store: Store, change: Callable[[Store], None], before: frozenset[str], after: frozenset[str], events: list[Event]
) -> None:
    assert before & after <= ids(store) <= before | after, events
    assert store.verify() == [], events
    change(store)
    assert ids(store) == after, events
    assert store.verify() == [], events
    assert debris(store) == [], events


@changes
def test_what_is_done_stays_done(
    root: Path, tmp_path: Path, prepare: Callable[[Store], None], change: Callable[[Store], None]
) -> None:
    disk, events = recorded(root, prepare, change)
    for event in events:
        disk.apply(event)
    write_image(disk.image(lambda path: False), tmp_path / "image")
    assert ids(Store(tmp_path / "image" / "store")) == ids(Store(root / "store"))


def is_publication(event: Event) -> bool:
    return event[0] == "rename" and event[2].startswith("store/manifests/")


@pytest.mark.parametrize("prepare", [no_store, two_versions])
def test_a_manifest_gets_its_name_when_everything_else_is_safe(root: Path, prepare: Callable[[Store], None]) -> None:
    disk, events = recorded(root, prepare, freeze)
    (place,) = [number for number, event in enumerate(events) if is_publication(event)]
    for event in events[:place]:
        disk.apply(event)
    kept = disk.image(lambda path: False)
    store = Store(root / "store")
    identity = events[place][2].removeprefix("store/manifests/").removesuffix(".json")
    tree = store.tree(identity)
    needed = [path.relative_to(root).as_posix() for path in (tree, *tree.rglob("*"))]
    needed += [f"store/objects/{entry.digest[:2]}/{entry.digest[2:]}" for entry in store.open(identity).files]
    assert {path: kept.get(path, "forgotten") for path in needed} == {path: found(root / path) for path in needed}
    assert disk.image(lambda path: True)[events[place][1]] == found(root / events[place][2])
    assert [path for path in kept if path.startswith(f"store/holds/{identity}")], "the hold comes first"


def found(path: Path) -> tuple[bytes, int] | int:
    mode = path.stat().st_mode & 0o777
    return mode if path.is_dir() else (path.read_bytes(), mode)


def is_removal(event: Event) -> bool:
    return event[0] in {"unlink", "rename", "rmdir"} and event[1].startswith(("store/trees/", "store/objects/"))


def test_nothing_of_a_snapshot_is_removed_before_its_manifest_is_gone_for_good(root: Path) -> None:
    disk, events = recorded(root, two_versions, collect)
    (gone,) = [event[1] for event in events if event[0] == "unlink" and event[1].startswith("store/manifests/")]
    removals = 0
    for event in events:
        if is_removal(event):
            removals += 1
            assert gone not in disk.image(lambda path: False), event
        disk.apply(event)
    assert removals > 5


def test_many_files_are_flushed_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_disk, "_FEW", 1)
    _, events = recorded(root, no_store, freeze)
    assert ("sync",) in events
