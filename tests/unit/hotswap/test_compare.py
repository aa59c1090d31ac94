"""What differs between two snapshots."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hotswap.compare import Difference, compare, patch
from hotswap.environment import Distribution, Environment, EnvironmentChange
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store

EMPTY = Environment("cp311")


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def freeze(kept: Store, folder: Path, contents: dict[str, bytes], environment: Environment = EMPTY) -> Snapshot:
    package = folder / "my_lab"
    package.mkdir(parents=True)
    for name, data in contents.items():
        (package / name).write_bytes(data)
    return kept.freeze(TreeSource(package), environment)


def test_files_are_added_removed_and_changed(kept: Store, tmp_path: Path) -> None:
    before = freeze(kept, tmp_path / "1", {"a.py": b"1", "b.py": b"2", "same.py": b"3"})
    after = freeze(kept, tmp_path / "2", {"b.py": b"two", "c.py": b"4", "same.py": b"3"})
    difference = compare(before, after)
    assert difference == Difference(("my_lab/c.py",), ("my_lab/a.py",), ("my_lab/b.py",))
    assert difference


def test_a_mode_alone_is_a_change(kept: Store, tmp_path: Path) -> None:
    before = freeze(kept, tmp_path, {"run.sh": b"x"})
    (tmp_path / "my_lab" / "run.sh").chmod(0o755)
    after = kept.freeze(TreeSource(tmp_path / "my_lab"), EMPTY)
    assert compare(before, after).changed == ("my_lab/run.sh",)
    assert patch(kept, before, after) == "mode of my_lab/run.sh changed from 644 to 755\n"


def test_equal_snapshots_do_not_differ(kept: Store, tmp_path: Path) -> None:
    snapshot = freeze(kept, tmp_path, {"a.py": b"1"})
    assert not compare(snapshot, snapshot)
    assert patch(kept, snapshot, snapshot) == ""


def test_changes_of_the_environment_are_told(kept: Store, tmp_path: Path) -> None:
    old = (Distribution("gone", "1"), Distribution("moved", "1"), Distribution("mine", "0", "a" * 64))
    new = (Distribution("come", "1"), Distribution("moved", "2"), Distribution("mine", "0", "b" * 64))
    snapshot = freeze(kept, tmp_path, {"a.py": b"1"}, Environment("cp311", old))
    changes = compare(snapshot, replace(snapshot, environment=Environment("cp312", new))).environment
    assert changes == (
        EnvironmentChange("come", None, "1"),
        EnvironmentChange("gone", "1", None),
        EnvironmentChange("mine", f"0 ({'a' * 12})", f"0 ({'b' * 12})"),
        EnvironmentChange("moved", "1", "2"),
        EnvironmentChange("python", "cp311", "cp312"),
    )


def test_a_patch_turns_one_tree_into_the_other(kept: Store, tmp_path: Path) -> None:
    old = {"a.py": b"x = 1\ny = 2\n", "gone.py": b"z\n", "end.py": b"no newline"}
    new = {"a.py": b"x = 1\ny = 3\n", "come.py": b"w\n", "end.py": b"none here"}
    before, after = freeze(kept, tmp_path / "1", old), freeze(kept, tmp_path / "2", new)
    text = patch(kept, before, after)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path / "1", input=text, text=True, check=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "1" / "my_lab").iterdir()} == new


@pytest.mark.parametrize("data", [b"\0\1", b"\xff\xfe"])
def test_a_patch_does_not_print_what_is_not_text(kept: Store, tmp_path: Path, data: bytes) -> None:
    before = freeze(kept, tmp_path / "1", {"a.bin": b"text"})
    after = freeze(kept, tmp_path / "2", {"a.bin": data})
    assert patch(kept, before, after) == "binary file my_lab/a.bin differs\n"
