"""What does not belong into a store is named wherever it lies, and removed where nobody can miss it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest
from forgetful_disk import unhurried
from held_source import CODE, EMPTY, Held, debris

from hotswap.snapshot import Snapshot
from hotswap.store import Store

NESTED = Held({**CODE, "my_lab/tables/peaks.csv": b"1,2\n"})


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with unhurried():
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def snapshot(store: Store) -> Snapshot:
    return store.freeze(NESTED, EMPTY)


@pytest.fixture
def tree(store: Store, snapshot: Snapshot) -> Path:
    """With a package that may be changed."""
    tree = store.tree(snapshot.id)
    (tree / "my_lab").chmod(0o755)
    return tree


def found(store: Store) -> list[tuple[str, str]]:
    return sorted((one.path, one.what) for one in store.verify())


UNLOCKED = ("my_lab", "the folder has mode 755 instead of 555")


def test_a_surplus_folder_of_a_tree_is_named_and_removed_with_all_that_is_in_it(
    store: Store, snapshot: Snapshot, tree: Path
) -> None:
    (tree / "my_lab" / "notes" / "deep").mkdir(parents=True)
    (tree / "my_lab" / "notes" / "mine.txt").touch()
    surplus = "the folder does not belong to the snapshot"
    assert found(store) == [
        UNLOCKED,
        ("my_lab/notes", surplus),
        ("my_lab/notes/deep", surplus),
        ("my_lab/notes/mine.txt", "the file does not belong to the snapshot"),
    ]
    assert store.repair(store.verify()) == []
    assert (store.verify(), debris(store), (tree / "my_lab" / "notes").exists()) == ([], [], False)


def test_folders_that_say_nothing_of_the_content_keep_nobody_from_opening_a_snapshot(
    store: Store, snapshot: Snapshot, tree: Path
) -> None:
    (tree / "my_lab" / "empty").mkdir()
    assert store.open(snapshot.id) == snapshot


@pytest.mark.parametrize("path", [".", "my_lab", "my_lab/tables"])
def test_a_folder_of_another_mode_is_named_and_protected_again(store: Store, snapshot: Snapshot, path: str) -> None:
    folder = store.tree(snapshot.id) / path
    folder.chmod(0o775)
    assert found(store) == [(path, "the folder has mode 775 instead of 555")]
    assert store.repair(store.verify()) == []
    assert S_IMODE(folder.stat().st_mode) == 0o555


def test_a_folder_in_the_place_of_a_file_makes_room_for_it(store: Store, tree: Path) -> None:
    (tree / "my_lab" / "data.txt").unlink()
    (tree / "my_lab" / "data.txt" / "below").mkdir(parents=True)
    assert store.repair(store.verify()) == []
    assert (tree / "my_lab" / "data.txt").read_bytes() == CODE["my_lab/data.txt"]


def test_a_file_in_the_place_of_a_folder_makes_room_for_it(store: Store, tree: Path) -> None:
    (tree / "my_lab" / "tables").chmod(0o755)
    (tree / "my_lab" / "tables").rename(store.root.parent / "elsewhere")
    (tree / "my_lab" / "tables").touch()
    assert store.repair(store.verify()) == []
    assert (tree / "my_lab" / "tables" / "peaks.csv").read_bytes() == b"1,2\n"


@pytest.mark.parametrize("path", ["notes", "cache/notes", "objects/notes", "objects/ab/notes", "trees/notes"])
@pytest.mark.parametrize("kind", [Path.touch, Path.mkdir], ids=["file", "folder"])
def test_what_is_foreign_to_the_store_is_named_with_what_to_do_and_left(
    store: Store, snapshot: Snapshot, path: str, kind: object
) -> None:
    place = store.root / path
    place.parent.mkdir(exist_ok=True)
    assert callable(kind)
    kind(place)
    assert found(store) == [(path, "it does not belong to the store: move it away")]
    assert [one.snapshot for one in store.repair(store.verify())] == [""]
    assert place.exists()


def test_what_people_and_the_product_put_there_is_not_foreign(store: Store, snapshot: Snapshot) -> None:
    store.claim("my_lab", "lab collect")
    store.collect()
    for name in ("README.md", ".gitignore"):
        (store.root / name).touch()
    for name in ("generations", "run", "cache/closure"):
        (store.root / name).mkdir()
    assert store.verify() == []


def test_a_folder_among_unfinished_work_does_not_stop_a_freeze(store: Store, snapshot: Snapshot) -> None:
    (store.root / "tmp" / "notes" / "deep").mkdir(parents=True)
    store.freeze(Held(CODE), EMPTY)
    assert debris(store) == []


@pytest.mark.parametrize("content", ["", "[]", '{"reason": ""}', '{"reason": "another"}', '{"reason": null}'])
def test_a_hold_that_lost_its_reason_is_named_and_goes_on_holding_until_it_is_released(
    store: Store, snapshot: Snapshot, content: str
) -> None:
    store.hold(snapshot.id, "paper 12")
    (hold,) = (store.root / "holds").iterdir()
    hold.write_text(content)
    lost = [(f"holds/{hold.name}", "the reason of the hold is lost: release it, and hold the snapshot again")]
    assert found(store) == lost
    assert [(one.path, one.what) for one in store.repair(store.verify())] == lost
    assert store.release(snapshot.id, store.holds(snapshot.id)[0])
    assert found(store) == []
