"""What differs between two snapshots."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from hotswap.compare import DefinitionChange, Difference, changed_definitions, compare, patch
from hotswap.environment import Distribution, Environment, EnvironmentChange
from hotswap.errors import StoreError
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
    old = {"a.py": b"x = 1\ny = 2\n", "gone.py": b"z\n", "end.py": b"no newline", "feed.py": b"x\n\f\ny\rz\n"}
    new = {"a.py": b"x = 1\ny = 3\n", "come.py": b"w\n", "end.py": b"none here", "feed.py": b"x\n\f\ny\rw\n"}
    before, after = freeze(kept, tmp_path / "1", old), freeze(kept, tmp_path / "2", new)
    text = patch(kept, before, after)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path / "1", input=text, text=True, check=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "1" / "my_lab").iterdir()} == new


@pytest.mark.parametrize("data", [b"\0\1", b"\xff\xfe"])
def test_a_patch_does_not_print_what_is_not_text(kept: Store, tmp_path: Path, data: bytes) -> None:
    before = freeze(kept, tmp_path / "1", {"a.bin": b"text"})
    after = freeze(kept, tmp_path / "2", {"a.bin": data})
    assert patch(kept, before, after) == "binary file my_lab/a.bin differs\n"


LAB = {
    "__init__.py": b"",
    "base.py": b"class Device:\n    def ping(self):\n        return 1\n",
    "furnace.py": b"from my_lab.base import Device\n\nclass Furnace(Device):\n    heat = 900\n",
    "scale.py": b"import numpy\n\nclass Scale:\n    zero = numpy.zeros(1)\n\nclass _Hidden:\n    pass\n",
}


def after_editing(kept: Store, tmp_path: Path, **changed: bytes) -> list[tuple[str, str]]:
    """What changes when these modules get this content."""
    before = freeze(kept, tmp_path / "1", LAB)
    after = freeze(kept, tmp_path / "2", LAB | {f"{name}.py": data for name, data in changed.items()})
    return told(changed_definitions(kept, before, after))


def told(changes: Iterable[DefinitionChange]) -> list[tuple[str, str]]:
    return [(change.name, change.what) for change in changes]


def test_editing_a_class_changes_that_class_alone(kept: Store, tmp_path: Path) -> None:
    edited = LAB["furnace.py"].replace(b"900", b"950")
    assert after_editing(kept, tmp_path, furnace=edited) == [("my_lab.furnace:Furnace", "changed")]


def test_editing_a_base_class_changes_what_derives_from_it(kept: Store, tmp_path: Path) -> None:
    edited = LAB["base.py"].replace(b"return 1", b"return 2")
    changes = after_editing(kept, tmp_path, base=edited)
    assert changes == [("my_lab.base:Device", "changed"), ("my_lab.furnace:Furnace", "changed")]


def test_comments_change_no_class(kept: Store, tmp_path: Path) -> None:
    assert after_editing(kept, tmp_path, furnace=b"# hot\n" + LAB["furnace.py"]) == []


def test_classes_come_and_go(kept: Store, tmp_path: Path) -> None:
    changes = after_editing(kept, tmp_path, furnace=b"class Oven:\n    pass\n")
    assert changes == [("my_lab.furnace:Furnace", "removed"), ("my_lab.furnace:Oven", "added")]


def test_a_module_that_does_not_parse_defines_nothing(kept: Store, tmp_path: Path) -> None:
    assert ("my_lab.furnace:Furnace", "removed") in after_editing(kept, tmp_path, furnace=b"class Furnace(:\n")


def test_another_version_of_a_library_changes_what_imports_it(
    kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy = (Distribution("numpy", "1.0"),)
    monkeypatch.setattr("hotswap._definitions.fingerprint", lambda names: Environment("cp311", numpy))
    before = freeze(kept, tmp_path, LAB, Environment("cp311", (*numpy, Distribution("scipy", "1.0"))))
    source = TreeSource(tmp_path / "my_lab")
    newer = (Distribution("numpy", "2.0"), Distribution("scipy", "1.0"))
    after = kept.freeze(source, Environment("cp311", newer))
    assert told(changed_definitions(kept, before, after)) == [("my_lab.scale:Scale", "changed")]
    unrelated = kept.freeze(source, Environment("cp311", (*numpy, Distribution("scipy", "2.0"))))
    assert changed_definitions(kept, before, unrelated) == ()


def test_a_library_that_is_not_installed_here_may_be_any(kept: Store, tmp_path: Path) -> None:
    lab = LAB | {"scale.py": b"import nowhere_installed\n\nclass Scale:\n    unit = nowhere_installed.GRAM\n"}
    before = freeze(kept, tmp_path, lab, Environment("cp311", (Distribution("some", "1.0"),)))
    after = kept.freeze(TreeSource(tmp_path / "my_lab"), Environment("cp311", (Distribution("some", "2.0"),)))
    assert told(changed_definitions(kept, before, after)) == [("my_lab.scale:Scale", "changed")]


def test_another_python_changes_everything(kept: Store, tmp_path: Path) -> None:
    before = freeze(kept, tmp_path, LAB)
    after = kept.freeze(TreeSource(tmp_path / "my_lab"), Environment("cp312"))
    assert len(changed_definitions(kept, before, after)) == 3


def test_only_the_named_are_looked_at_also_those_that_no_list_has(kept: Store, tmp_path: Path) -> None:
    before = freeze(kept, tmp_path / "1", LAB)
    after = freeze(kept, tmp_path / "2", LAB | {"scale.py": LAB["scale.py"].replace(b"pass", b"x = 1")})
    hidden = "my_lab.scale:_Hidden"
    assert told(changed_definitions(kept, before, after, [hidden])) == [(hidden, "changed")]
    assert changed_definitions(kept, before, after, ["my_lab.furnace:Furnace"]) == ()
    assert changed_definitions(kept, before, before, [hidden]) == ()


@pytest.mark.parametrize("name", ["my_lab.oven:Oven", "my_lab.furnace:Oven", "my_lab.furnace", "Furnace", ""])
def test_a_name_that_neither_has_is_refused(kept: Store, tmp_path: Path, name: str) -> None:
    snapshot = freeze(kept, tmp_path, LAB)
    with pytest.raises(StoreError, match=f"Neither snapshot has a class {name!r}"):
        changed_definitions(kept, snapshot, snapshot, [name])


def test_calls_that_only_register_do_not_count(kept: Store, tmp_path: Path) -> None:
    root = b"from registry import add\nfrom my_lab.furnace import Furnace\nfrom my_lab.scale import Scale\nadd(%s())\n"
    before = freeze(kept, tmp_path / "1", LAB | {"__init__.py": root % b"Furnace"})
    after = freeze(kept, tmp_path / "2", LAB | {"__init__.py": root % b"Scale"})
    assert changed_definitions(kept, before, after, registration=frozenset({"registry.add"})) == ()
    assert changed_definitions(kept, before, after)
