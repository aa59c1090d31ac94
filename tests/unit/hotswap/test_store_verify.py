"""Verifying names whatever is not as it was frozen, and repairing mends it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from stat import S_IMODE
from threading import Event, Thread, current_thread

import pytest
from forgetful_disk import intercepted, unhurried
from held_source import CODE, EMPTY, Held, debris, version

from hotswap.digest import hash_bytes
from hotswap.errors import DamagedError, StoreError
from hotswap.store import Damage, Retention, Store, _bytecode, _tree

CACHED = f"my_lab/__pycache__/furnace.{sys.implementation.cache_tag}.pyc"


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """What a disk may forget is tested elsewhere."""
    with unhurried():
        yield


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def writable(kept: Store) -> Iterator[Callable[[str], Path]]:
    """Freeze the code; gives paths in its tree that may be changed although they are read-only."""
    snapshot = kept.freeze(Held(CODE))

    def unlock(path: str) -> Path:
        full = kept.tree(snapshot.id) / path
        full.parent.chmod(0o755)
        if full.exists():
            full.chmod(0o644)
        return full

    return unlock


def found(kept: Store) -> list[tuple[str, str]]:
    """All but the folders that ``writable`` unlocked."""
    (snapshot,) = kept.list()
    damages = [one for one in kept.verify(snapshot.short_id) if "the folder has mode 755" not in one.what]
    assert all(damage.snapshot == snapshot.id for damage in damages)
    return [(damage.path, damage.what) for damage in damages]


def test_a_surplus_file_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    writable("my_lab/surplus.py").touch()
    assert found(kept) == [("my_lab/surplus.py", "the file does not belong to the snapshot")]


def test_foreign_byte_code_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    writable("my_lab/__pycache__/furnace.cpython-39.pyc").touch()
    assert found(kept)[0][0] == "my_lab/__pycache__/furnace.cpython-39.pyc"


def test_a_missing_file_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    writable("my_lab/data.txt").unlink()
    assert found(kept) == [("my_lab/data.txt", "the file is missing")]
    with pytest.raises(DamagedError, match=r"my_lab/data.txt: the file is missing"):
        kept.open(kept.list()[0].id)


def test_changed_data_of_the_same_size_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    path = writable("my_lab/data.txt")
    path.write_bytes(b"HELLO")
    path.chmod(0o444)
    assert found(kept) == [("my_lab/data.txt", "the file was changed")]


def test_a_file_of_another_size_or_mode_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    writable("my_lab/data.txt").write_bytes(b"longer than it was")
    writable("my_lab/native.so")
    assert sorted(found(kept)) == [
        ("my_lab/data.txt", "the file has 18 bytes instead of 5"),
        ("my_lab/native.so", "the file has mode 644 instead of 444"),
    ]


def test_a_link_in_place_of_a_file_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    path = writable("my_lab/data.txt")
    path.unlink()
    path.symlink_to("furnace.py")
    assert found(kept) == [("my_lab/data.txt", "it is not a plain file")]


@pytest.mark.parametrize("path", ["my_lab/furnace.py", CACHED])
def test_a_write_through_a_link_is_damage(kept: Store, writable: Callable[[str], Path], path: str) -> None:
    full = writable(path)
    full.write_bytes(full.read_bytes()[:-1] + b"#")
    full.chmod(0o444)
    assert found(kept) == [(path, "its object does not hash to its name")]


def test_damaged_content_is_never_handed_out(kept: Store, writable: Callable[[str], Path]) -> None:
    writable("my_lab/furnace.py").write_bytes(b"LIMIT = 9999\n")
    with pytest.raises(DamagedError, match="missing or damaged"):
        kept.read(kept.list()[0].id, "my_lab/furnace.py")


def test_a_missing_tree_is_damage(kept: Store, writable: Callable[[str], Path]) -> None:
    _tree.discard(writable("my_lab").parent)
    assert found(kept) == [(".", "the tree is missing")]


def test_a_changed_manifest_is_damage(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE))
    manifest = kept.root / "manifests" / f"{snapshot.id}.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("furnace.py", "furnice.py"))
    (damage,) = kept.verify()
    assert damage == Damage(snapshot.id, f"manifests/{snapshot.id}.json", damage.what)
    assert "its checksum is wrong" in damage.what
    assert kept.list() == []
    with pytest.raises(DamagedError, match="its checksum is wrong"):
        kept.open(snapshot.id)


def test_verifying_tells_its_progress(kept: Store) -> None:
    kept.freeze(Held(CODE))
    calls: list[tuple[int, int]] = []
    kept.verify(progress=lambda done, total: calls.append((done, total)))
    assert calls == [(number, 6) for number in range(1, 7)]


def test_a_foreign_file_is_named_wherever_it_lies(kept: Store) -> None:
    kept.freeze(Held(CODE))
    foreign = ["manifests/notes.txt", "objects/notes.txt", "objects/ab/notes.txt", "holds/notes.txt", "trees/notes.txt"]
    for path in foreign:
        (kept.root / path).parent.mkdir(exist_ok=True)
        (kept.root / path).touch()
    damages = kept.verify()
    assert sorted(one.path for one in damages) == sorted(foreign)
    assert {(one.snapshot, one.what) for one in damages} == {("", "it does not belong to the store: move it away")}


def test_a_lost_manifest_is_named_because_its_tree_is_there(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE))
    (kept.root / "manifests" / f"{snapshot.id}.json").unlink()
    (damage,) = kept.verify()
    assert damage == Damage(
        snapshot.id, f"manifests/{snapshot.id}.json", "the manifest is missing, but there is a tree"
    )
    assert kept.repair([damage]) == [damage]
    assert kept.freeze(Held(CODE)).id == snapshot.id
    assert kept.verify() == []


def test_a_lost_manifest_is_named_because_the_snapshot_is_held(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE), hold="paper 12")
    (kept.root / "manifests" / f"{snapshot.id}.json").unlink()
    _tree.discard(kept.root / "trees" / snapshot.id)
    (damage,) = kept.verify()
    assert (damage.snapshot, damage.what) == (snapshot.id, "the manifest is missing, but the snapshot is held")


def test_a_damaged_object_that_nothing_needs_yet_is_named_and_removed(kept: Store) -> None:
    kept.freeze(Held(CODE))
    digest = hash_bytes(b"new")
    orphan = kept.root / "objects" / digest[:2] / digest[2:]
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"torn")
    (damage,) = kept.verify()
    assert damage == Damage("", f"objects/{digest[:2]}/{digest[2:]}", "its object does not hash to its name")
    assert kept.repair([damage]) == []
    snapshot = kept.freeze(Held({"my_lab/__init__.py": b"", "my_lab/new.txt": b"new"}))
    assert kept.read(snapshot.id, "my_lab/new.txt") == b"new"
    assert kept.verify() == []


@pytest.mark.parametrize("keep_tree", [True, False], ids=["tree is sound", "tree is lost"])
def test_freezing_again_writes_a_damaged_manifest_again(kept: Store, keep_tree: bool) -> None:
    snapshot = kept.freeze(Held(CODE))
    manifest = kept.root / "manifests" / f"{snapshot.id}.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes()[:-10])
    tree = kept.root / "trees" / snapshot.id
    inode = tree.stat().st_ino
    if not keep_tree:
        _tree.discard(tree)
    again = kept.ensure(Held(CODE))
    assert (again.snapshot.id, again.new) == (snapshot.id, True)
    if keep_tree:
        assert tree.stat().st_ino == inode, "somebody may be running this code"
    assert kept.verify() == []


def rewritten(kept: Store, change: Callable[[dict[str, object]], None]) -> str:
    """Change a manifest by hand, checksum and all; returns the id."""
    identity = kept.freeze(Held(CODE)).id
    path = kept.root / "manifests" / f"{identity}.json"
    plain = json.loads(path.read_bytes())
    del plain["checksum"]
    change(plain)
    body = json.dumps(plain).encode().removesuffix(b"}")
    path.chmod(0o644)
    path.write_bytes(body + b', "checksum": "%s"}\n' % hash_bytes(body).encode())
    return identity


def test_a_manifest_of_an_unknown_format_is_refused_by_name_and_left_alone(kept: Store) -> None:
    identity = rewritten(kept, lambda plain: plain.update(format=2))
    before = (kept.root / "manifests" / f"{identity}.json").read_bytes()
    for refused in (kept.open, lambda _: kept.freeze(Held(CODE))):
        with pytest.raises(StoreError, match=f"{identity}.json has format 2, but this version reads format 1: upgrade"):
            refused(identity)
    assert [one.snapshot for one in kept.verify()] == [identity]
    assert (kept.root / "manifests" / f"{identity}.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda plain: plain["snapshot"].update(format=7), "has format 7"),
        (lambda plain: plain["snapshot"].update(package="other"), "does not hash to its name"),
        (lambda plain: plain["snapshot"].pop("files"), "no field 'files'"),
        (lambda plain: plain.pop("bytecode"), "bytecode"),
        (lambda plain: plain.update(bytecode=["a"]), "the entry of a file"),
    ],
)
def test_a_manifest_that_describes_no_snapshot_is_refused_in_a_sentence(
    kept: Store, change: Callable[[dict[str, object]], None], told: str
) -> None:
    identity = rewritten(kept, change)
    with pytest.raises(DamagedError, match=told):
        kept.open(identity)


class Backup:
    """A copy of contents elsewhere; some may be wrong."""

    def __init__(self, *contents: bytes, lies: bool = False) -> None:
        self._contents = {hash_bytes(one): one + b"!" * lies for one in contents}

    def content(self, digest: str) -> bytes | None:
        return self._contents.get(digest)


def test_a_damaged_tree_is_mended_without_any_copy(kept: Store, writable: Callable[[str], Path]) -> None:
    writable("my_lab/surplus.py").touch()
    writable("my_lab/data.txt").write_bytes(b"HELLO")
    writable("my_lab/furnace.py").unlink()
    writable("my_lab/native.so")
    damages = kept.verify()
    assert len(damages) == 5
    assert kept.repair(damages) == []
    assert (kept.verify(), debris(kept)) == ([], [])
    tree = kept.tree(kept.list()[0].id)
    assert {S_IMODE(path.stat().st_mode) for path in (tree, *tree.rglob("*")) if path.is_dir()} == {0o555}


def test_a_file_that_is_mended_is_replaced_so_that_who_reads_it_is_not_disturbed(
    kept: Store, writable: Callable[[str], Path]
) -> None:
    writable("my_lab/data.txt").write_bytes(b"HELLO")
    with writable("my_lab/data.txt").open("rb") as reading:
        kept.repair(kept.verify())
        assert reading.read() == b"HELLO"


def test_a_lost_tree_is_built_again(kept: Store, writable: Callable[[str], Path]) -> None:
    _tree.discard(writable("my_lab").parent)
    assert kept.repair(kept.verify()) == []
    assert kept.verify() == []


def test_a_lost_folder_of_a_tree_is_built_again(kept: Store) -> None:
    snapshot = kept.freeze(Held({"my_lab/__init__.py": b"", "my_lab/a/b/c.txt": b"c"}))
    package = kept.tree(snapshot.id) / "my_lab"
    package.chmod(0o755)
    _tree.discard(package / "a")
    assert kept.repair(kept.verify()) == []
    assert (kept.verify(), debris(kept)) == ([], [])


def lose(kept: Store, content: bytes, *, change: bool) -> None:
    """Lose the object with this content, or change it and all that is linked to it."""
    digest = hash_bytes(content)
    path = kept.root / "objects" / digest[:2] / digest[2:]
    if change:
        path.chmod(0o644)
        path.write_bytes(b"x" * len(content))
        path.chmod(0o444)
    else:
        path.unlink()


@pytest.mark.parametrize("change", [True, False], ids=["damaged", "lost"])
def test_an_object_comes_back_from_a_copy_for_every_snapshot_that_shares_it(kept: Store, change: bool) -> None:
    shared = b"LIMIT = 1200\n"
    for number in range(3):
        kept.freeze(Held({**CODE, "my_lab/number.txt": b"%d" % number}))
    lose(kept, shared, change=change)
    one = kept.verify(kept.list()[0].id)
    assert [damage.path for damage in one] == ["my_lab/furnace.py"]
    assert kept.repair(one, [Backup(b"other"), Backup(shared, lies=True), Backup(shared)]) == []
    assert (kept.verify(), debris(kept)) == ([], [])
    inodes = {(kept.tree(each.id) / "my_lab" / "furnace.py").stat().st_ino for each in kept.list()}
    assert len(inodes) == 1, "it is shared again"


def test_a_copy_in_a_tree_brings_an_object_back(kept: Store) -> None:
    kept.freeze(Held(CODE))
    lose(kept, b"hello", change=True)
    assert kept.repair(kept.verify()) == []
    assert kept.verify() == []


def test_another_place_is_not_asked_for_what_a_tree_has(kept: Store) -> None:
    class Down:
        def content(self, digest: str) -> bytes | None:
            raise StoreError(f"The database fails, asked for {digest}.")

    kept.freeze(Held(CODE))
    lose(kept, b"hello", change=True)
    assert kept.repair(kept.verify(), [Down()]) == []


def test_what_no_copy_has_stays_damaged_and_is_told(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE))
    lose(kept, b"LIMIT = 1200\n", change=True)
    left = kept.repair(kept.verify(), [Backup(b"other"), Backup(b"LIMIT = 1200\n", lies=True)])
    assert left == [Damage(snapshot.id, "my_lab/furnace.py", "its object does not hash to its name")]


def test_repairing_leaves_foreign_files_alone_and_says_so(kept: Store) -> None:
    kept.freeze(Held(CODE))
    (kept.root / "objects" / "notes.txt").write_text("mine")
    damages = kept.verify()
    assert kept.repair(damages) == damages
    assert (kept.root / "objects" / "notes.txt").read_text() == "mine"


def test_what_a_freeze_is_about_to_finish_is_no_damage(kept: Store) -> None:
    """The tree is there, and the manifest not yet: verification waits for its turn, and looks again."""
    waits = Event()
    told: list[Sequence[Damage]] = []
    verifying = Thread(target=lambda: told.append(Store(kept.root).verify()))

    def verify(name: str, do: Callable[[], object], arguments: tuple[object, ...]) -> object:
        if name == "open_lock" and current_thread() is verifying:
            waits.set()
        if name == "rename" and "/manifests/" in str(arguments[1]):
            verifying.start()
            assert waits.wait(30)
        return do()

    with intercepted(verify):
        kept.freeze(Held(CODE))
        verifying.join(30)
    assert told == [[]]


def test_a_snapshot_that_is_collected_while_all_are_verified_is_passed_over(kept: Store) -> None:
    first, second = (kept.freeze(version(number), EMPTY).id for number in range(2))

    def progress(done: int, total: int) -> None:
        for identity in {first, second} & {path.name[:64] for path in (kept.root / "manifests").iterdir()}:
            os.utime(kept.root / "manifests" / f"{identity}.json", (0, 0))
        kept.collect(retention=Retention(keep_last=0))

    assert kept.verify(progress=progress) == []
    assert len(kept.list()) == 1


def test_a_snapshot_that_comes_back_with_other_byte_code_while_all_are_verified_is_no_damage(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = sorted((kept.freeze(version(number), EMPTY).id, number) for number in range(2))[1]
    compiled = _bytecode.compile_source

    def compile_otherwise(source: bytes) -> _bytecode.Compiled:
        found = compiled(source)
        return replace(found, bytecode=(found.bytecode or b"") + b"!")

    def come_back(done: int, total: int) -> None:
        if done == 1:
            os.utime(kept.root / "manifests" / f"{second[0]}.json", (0, 0))
            kept.collect(retention=Retention(keep_last=0))
            monkeypatch.setattr(_bytecode, "compile_source", compile_otherwise)
            assert kept.ensure(version(second[1]), EMPTY).new

    assert kept.verify(progress=come_back) == []


def test_repairing_leaves_nothing_of_a_damaged_snapshot_whose_collection_did_not_end(kept: Store) -> None:
    def stop(name: str, do: Callable[[], object], arguments: tuple[object, ...]) -> object:
        if name == "unlink":
            raise KeyboardInterrupt  # the power goes after it is noted what will go
        return do()

    os.utime(kept.root / "manifests" / f"{kept.freeze(Held(CODE)).id}.json", (0, 0))
    with pytest.raises(KeyboardInterrupt), intercepted(stop):
        kept.collect(retention=Retention(keep_last=0, keep_days=0))
    again = Store(kept.root)
    lose(again, b"hello", change=True)
    assert again.repair(again.verify(), []) == []
    assert again.verify() == []
    assert again.list() == []
