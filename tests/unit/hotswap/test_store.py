"""The store: what goes in comes out, nothing changes, and a crash leaves nothing half-done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE

import pytest
from forgetful_disk import unhurried
from held_source import CODE, EMPTY, Held
from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap.errors import SourceError, StoreError, UnknownSnapshotError
from hotswap.snapshot import Origin
from hotswap.source import TreeSource
from hotswap.store import Store, _tree

CACHED = f"my_lab/__pycache__/furnace.{sys.implementation.cache_tag}.pyc"


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """What a disk may forget is tested elsewhere."""
    with unhurried():
        yield


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def tree_of(kept: Store, identity: str) -> dict[str, bytes]:
    tree = kept.tree(identity)
    files = (path for path in tree.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in files}


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """What a look at it would tell of a change; the time of a manifest only says when its id was handed out."""
    files = (path for path in folder.rglob("*") if path.parent.name != "manifests")
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in files}


@contextmanager
def temporary_store() -> Iterator[Store]:
    """For hypothesis, which cannot have a fixture for each example."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield Store(folder)
    finally:
        _tree.discard(folder)


names = st.sampled_from(["__init__.py", "a.py", "b.py", "data.csv", "tool", "lib.so", "sub/c.py", "sub/deep/d.json"])
packages = st.dictionaries(
    names.map("my_lab/{}".format), st.binary(max_size=40) | st.just(b"x = 1\n"), min_size=1, max_size=6
)


@given(packages, st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_goes_in_comes_out(contents: dict[str, bytes], executable: bool) -> None:
    with temporary_store() as kept:
        mode = 0o755 if executable else 0o644
        snapshot = kept.freeze(Held(contents, modes=dict.fromkeys(contents, mode)), EMPTY)
        assert {entry.path: kept.read(snapshot.id, entry.path) for entry in snapshot.files} == contents
        assert tree_of(kept, snapshot.id) == contents
        assert kept.open(snapshot.id) == snapshot
        assert kept.verify() == []


@given(packages, packages)
@settings(max_examples=20, deadline=None)
def test_ids_depend_on_content_only(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    with temporary_store() as here, temporary_store() as there:
        first = here.freeze(Held(one), EMPTY)
        second = there.freeze(Held(other, origin=Origin(commit="c" * 40, dirty=False)), EMPTY)
        assert (first.id == second.id) == (one == other)


def test_freezing_again_writes_nothing(kept: Store) -> None:
    first = kept.ensure(Held(CODE))
    before = everything(kept.root)
    again = kept.ensure(Held(CODE))
    assert (first.new, again.new) == (True, False)
    assert again.snapshot == first.snapshot
    assert everything(kept.root) == before


def test_freezing_again_keeps_the_first_origin_and_tells_the_requested_one(kept: Store) -> None:
    kept.freeze(Held(CODE, origin=Origin(commit="1" * 40, dirty=False)))
    again = kept.freeze(Held(CODE, origin=Origin(commit="2" * 40, dirty=False)))
    assert again.origin.commit == "2" * 40
    assert kept.open(again.id).origin.commit == "1" * 40


def test_known_content_is_not_read_again(kept: Store) -> None:
    kept.freeze(Held(CODE, keyed=True))
    changed = Held({**CODE, "my_lab/furnace.py": b"LIMIT = 1300\n"}, keyed=True)
    Store(kept.root).freeze(changed)
    assert changed.reads == ["my_lab/furnace.py"]


def test_a_snapshot_knows_the_environment_of_its_imports(kept: Store) -> None:
    snapshot = kept.freeze(Held({"my_lab/__init__.py": b"import click\nimport my_lab.own\n"}))
    assert [one.name for one in snapshot.environment.distributions] == ["click"]


def test_nothing_in_a_tree_may_be_written(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE, modes={"my_lab/data.txt": 0o755}))
    tree = kept.tree(snapshot.id)
    assert {S_IMODE(path.stat().st_mode) for path in (tree, *tree.rglob("*")) if path.is_dir()} == {0o555}
    assert S_IMODE((tree / "my_lab" / "data.txt").stat().st_mode) == 0o555
    assert S_IMODE((tree / "my_lab" / "furnace.py").stat().st_mode) == 0o444


def test_code_is_linked_and_everything_else_is_copied(kept: Store) -> None:
    first = kept.freeze(Held(CODE))
    second = kept.freeze(Held({**CODE, "my_lab/new.py": b""}))
    trees = [kept.tree(one.id) / "my_lab" for one in (first, second)]
    inodes = {name: {(tree / name).stat().st_ino for tree in trees} for name in ("furnace.py", "data.txt", "native.so")}
    assert {name: len(found) for name, found in inodes.items()} == {"furnace.py": 1, "data.txt": 2, "native.so": 2}


def test_an_executable_script_does_not_change_the_mode_of_its_twin(kept: Store) -> None:
    twins = {"my_lab/a.py": b"x", "my_lab/b.py": b"x"}
    snapshot = kept.freeze(Held(twins, modes={"my_lab/b.py": 0o755}))
    tree = kept.tree(snapshot.id) / "my_lab"
    assert [S_IMODE((tree / name).stat().st_mode) for name in ("a.py", "b.py")] == [0o444, 0o555]


def test_where_the_file_system_has_no_links_files_are_copied(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    snapshot = kept.freeze(Held(CODE))
    assert tree_of(kept, snapshot.id) == CODE
    assert kept.verify() == []


def run_frozen(kept: Store, identity: str, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-v", "-c", code],
        env={"PYTHONPATH": str(kept.tree(identity))},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + "\n".join(line for line in done.stderr.splitlines() if "my_lab" in line)


def test_a_tree_is_imported_from_its_byte_code(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE))
    shown = run_frozen(
        kept, snapshot.id, "import my_lab.furnace as f; print(f.LIMIT, f.f.__file__)".replace("f.f", "f")
    )
    tree = kept.tree(snapshot.id) / "my_lab"
    assert f"1200 {tree}/furnace.py" in shown
    assert f"{tree.parent}/{CACHED} matches" in shown
    assert "wrote" not in shown
    assert kept.verify() == []


def test_byte_code_names_the_file_of_its_own_tree(kept: Store) -> None:
    source = {"my_lab/__init__.py": b"def f(): return 1\n"}
    first = kept.freeze(Held(source))
    second = kept.freeze(Held({**source, "my_lab/other.py": b""}))
    for snapshot in (first, second):
        shown = run_frozen(kept, snapshot.id, "import my_lab; print(my_lab.f.__code__.co_filename)")
        assert f"{kept.tree(snapshot.id)}/my_lab/__init__.py" in shown


@pytest.mark.parametrize("broken", [b"def f(:\n", b"\x00", b"\xff\xfe", b"return 1\n"])
def test_a_file_that_does_not_compile_is_frozen_without_byte_code(kept: Store, broken: bytes) -> None:
    snapshot = kept.freeze(Held({"my_lab/__init__.py": b"", "my_lab/broken.py": broken}))
    cached = [path.name.partition(".")[0] for path in kept.tree(snapshot.id).rglob("*.pyc")]
    assert cached == ["__init__"]
    assert kept.verify() == []


def test_snapshots_are_listed_newest_first(kept: Store) -> None:
    frozen = [kept.freeze(Held({"my_lab/__init__.py": b"%d" % number})).id for number in range(3)]
    assert [one.id for one in kept.list()] == frozen[::-1]


def test_a_store_that_does_not_exist_is_empty_and_stays_so(kept: Store) -> None:
    assert kept.list() == []
    assert kept.verify() == []
    assert not kept.root.exists()


def test_an_unambiguous_prefix_is_enough(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE))
    assert kept.resolve(snapshot.short_id) == snapshot.id
    assert kept.open(snapshot.id[:4]) == snapshot


def test_an_ambiguous_prefix_is_told(kept: Store) -> None:
    for number in range(17):
        kept.freeze(Held({"my_lab/__init__.py": b"%d" % number}))
    firsts = [one.id[0] for one in kept.list()]
    shared = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(UnknownSnapshotError, match=f"snapshots start with '{shared}'"):
        kept.resolve(shared)


@pytest.mark.parametrize("prefix", ["", "zz", "../../etc", "0" * 64])
def test_an_unknown_id_is_told(kept: Store, prefix: str) -> None:
    kept.freeze(Held(CODE))
    with pytest.raises(UnknownSnapshotError, match=r"`hotswap list`"):
        kept.tree(prefix)


def test_a_file_that_was_not_frozen_is_told(kept: Store) -> None:
    snapshot = kept.freeze(Held(CODE))
    with pytest.raises(StoreError, match=r"has no file 'my_lab/nothing'"):
        kept.read(snapshot.id, "my_lab/nothing")


def test_a_source_that_moved_leaves_nothing(kept: Store) -> None:
    with pytest.raises(SourceError, match="moved"):
        kept.freeze(Held(CODE, moved=True, keyed=True))
    assert kept.list() == []
    assert not any(path.is_file() for path in (kept.root / "objects").rglob("*"))
    assert kept.freeze(Held(CODE, keyed=True)).files


def test_debris_of_a_killed_process_is_removed(kept: Store) -> None:
    kept.freeze(Held(CODE))
    (kept.root / "tmp" / "half").write_bytes(b"x")
    debris = kept.root / "trees" / ".new-x" / "my_lab"
    debris.mkdir(parents=True)
    debris.chmod(0o555)
    kept.freeze(Held(CODE))
    assert not (kept.root / "tmp" / "half").exists()
    assert not debris.exists()


def test_many_may_freeze_the_same_at_once(kept: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        frozen = list(pool.map(lambda _: Store(kept.root).ensure(Held(CODE)), range(8)))
    assert [one.new for one in frozen].count(True) == 1
    assert len({one.snapshot.id for one in frozen}) == 1
    assert kept.verify() == []


def test_a_lost_object_is_stored_again(kept: Store) -> None:
    kept.freeze(Held(CODE, keyed=True))
    (kept.root / "objects").rename(kept.root / "gone")
    changed = {**CODE, "my_lab/new.py": b""}
    snapshot = kept.freeze(Held(changed, keyed=True))
    assert tree_of(kept, snapshot.id) == changed


def test_a_lost_cache_costs_time_only(kept: Store) -> None:
    first = kept.freeze(Held(CODE, keyed=True))
    shutil.rmtree(kept.root / "cache")
    again = Store(kept.root).ensure(Held(CODE, keyed=True))
    assert (again.snapshot, again.new) == (first, False)
    assert kept.verify() == []


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "store").freeze(Held(CODE))


def test_a_real_folder_is_frozen(kept: Store, tmp_path: Path) -> None:
    package = tmp_path / "my_lab"
    for path, data in CODE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    snapshot = kept.freeze(TreeSource(package))
    (package / "furnace.py").write_bytes(b"LIMIT = 1\n")
    assert tree_of(kept, snapshot.id) == CODE
