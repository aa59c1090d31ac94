"""Long work tells how far it is, to a callback and on a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from hotswap.archive import export
from hotswap.cli import main
from hotswap.environment import Environment
from hotswap.source import TreeSource
from hotswap.store import Retention, Store


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "my_lab"
    folder.mkdir()
    for name in ("__init__.py", "a.py", "peaks.csv"):
        (folder / name).write_text(f"# {name}\n")
    return folder


def test_each_file_is_told(package: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    Store(tmp_path / "store").ensure(
        TreeSource(package), Environment("cp311"), progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


class Told(list[tuple[int, int]]):
    """What a callback was told."""

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))


def test_collecting_tells_of_each_snapshot_and_of_the_objects_that_nothing_needs(package: Path, tmp_path: Path) -> None:
    store, told = Store(tmp_path / "store"), Told()
    for number in range(3):
        (package / "a.py").write_text(f"NUMBER = {number}\n")
        store.freeze(TreeSource(package))
    for manifest in (store.root / "manifests").iterdir():
        os.utime(manifest, (0, 0))
    store.collect(retention=Retention(keep_last=1, keep_days=0), progress=told)
    assert told[:3] == [(1, 3), (2, 3), (3, 3)]
    assert told[3:] == [(7, 7)]  # two sources of a.py, and their byte-code


def test_repairing_tells_of_what_is_mended_and_read_again(package: Path, tmp_path: Path) -> None:
    store, told = Store(tmp_path / "store"), Told()
    snapshot = store.freeze(TreeSource(package))
    (entry,) = (one for one in snapshot.files if one.path.endswith(".csv"))
    (store.root / "objects" / entry.digest[:2] / entry.digest[2:]).unlink()
    assert store.repair(store.verify(), progress=told) == []
    assert told[:2] == [(1, 1), (2, 2)]  # the object, and the tree it is in
    assert told[2:] == [(2 + done, 7) for done in range(1, 6)]  # three files, and the byte-code of two


COMMANDS = {
    "freeze my_lab": "reading",
    "verify": "reading",
    "verify --repair": "mending",
    "export SNAPSHOT out.tar": "writing",
    "import in.tar": "reading",
    "checkout SNAPSHOT there": "writing",
    "collect --dry-run": "collecting",
    "collect": "collecting",
}


@pytest.mark.parametrize(("terminal", "shown"), [("1", True), (None, False)], ids=["terminal", "file"])
@pytest.mark.parametrize("line", COMMANDS)
def test_only_a_terminal_is_shown_a_bar(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, terminal: str | None, shown: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "snapshots")
    snapshot = store.freeze(TreeSource(package))
    export(store, snapshot.id, tmp_path / "in.tar")
    if "--repair" in line:
        (store.root / "trees" / snapshot.id / "my_lab").chmod(0o755)
    words = [snapshot.id if word == "SNAPSHOT" else word for word in line.split()]
    done = CliRunner(env={"FORCE_COLOR": terminal, "TERM": "xterm"}).invoke(main, words)
    assert done.exit_code == 0, done.output
    assert (COMMANDS[line] in done.stderr) is shown
    assert ("100%" in done.stderr) is shown
    assert COMMANDS[line] not in done.stdout
