"""The stat cache: the second freeze reads only what changed, and misses no change."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hotswap.digest import hash_bytes, stat_key
from hotswap.errors import SourceError
from hotswap.source import TreeSource, _folder, _git
from hotswap.store._freezing import Reader

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


class Held(dict[str, bytes]):
    """The objects of a store, in memory."""

    def stage(self, data: bytes) -> str:
        self[hash_bytes(data)] = data
        return hash_bytes(data)

    def read(self, digest: str) -> bytes:
        return self[digest]


class Freezer:
    """Freezes one package again and again, with a cache, and counts what it reads."""

    def __init__(self, package: Path, cache: Path) -> None:
        self.package = package
        self.cache = cache
        self.reads: list[str] = []
        self._objects = Held()
        self._reader = Reader(self._objects, cache)  # type: ignore[arg-type]

    def freeze(self) -> dict[str, bytes]:
        """The content that was frozen; ``reads`` has the names of the files that were read for it."""
        self.reads.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_folder.File, "read", self._recorded(_folder.File.read))
            content = self._reader.read(TreeSource(self.package))
        self._reader.remember(always=True)
        return {entry.path.partition("/")[2]: self._objects.read(entry.digest) for entry in content.files}

    def _recorded(self, read: Callable[[_folder.File], bytes]) -> Callable[[_folder.File], bytes]:
        def recorded(file: _folder.File) -> bytes:
            self.reads.append(file.path.partition("/")[2])
            return read(file)

        return recorded


def on_disk(package: Path) -> dict[str, bytes]:
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in package.rglob("*") if path.is_file()}


@dataclass
class Clock:
    """What a freeze takes for the present."""

    ahead: int = 0

    def key(self, path: str, found: os.stat_result, now: int) -> str | None:
        return stat_key(path, found, now + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_folder, "stat_key", clock.key)
    return clock


@pytest.fixture
def freezer(tmp_path: Path, clock: Clock) -> Freezer:
    """Of three files that have been quiet for long."""
    package = tmp_path / "work" / "my_lab"
    package.mkdir(parents=True)
    for name in ("__init__.py", "furnace.py", "peaks.csv"):
        (package / name).write_text(f"'{name}'")
    clock.ahead = HOUR
    (tmp_path / "cache").mkdir()
    freezer = Freezer(package, tmp_path / "cache")
    assert freezer.freeze() == on_disk(package)
    assert len(freezer.reads) == 3
    return freezer


def test_what_did_not_change_is_not_read_again(freezer: Freezer) -> None:
    assert freezer.freeze() == on_disk(freezer.package)
    assert freezer.reads == []


def test_only_what_changed_is_read_again(freezer: Freezer) -> None:
    (freezer.package / "furnace.py").write_text("LIMIT = 1300")
    assert freezer.freeze() == on_disk(freezer.package)
    assert freezer.reads == ["furnace.py"]


def test_another_process_profits_too(freezer: Freezer) -> None:
    again = Freezer(freezer.package, freezer.cache)
    again._objects.update(freezer._objects)
    assert again.freeze() == on_disk(freezer.package)
    assert again.reads == []


def test_a_file_that_may_still_change_within_a_tick_of_the_clock_is_read_every_time(
    freezer: Freezer, clock: Clock
) -> None:
    """Its time stamps cannot tell the next change from this one."""
    clock.ahead = 0
    for content in ("'AAAA'", "'BBBB'"):
        path = freezer.package / "furnace.py"
        before = path.stat()
        path.write_text(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert freezer.freeze()["furnace.py"] == content.encode()
    freezer.freeze()
    assert "furnace.py" in freezer.reads


def test_a_change_whose_time_is_set_back_is_read(freezer: Freezer) -> None:
    path = freezer.package / "furnace.py"
    before = path.stat()
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert freezer.freeze() == on_disk(freezer.package)
    assert freezer.reads == ["furnace.py"]


def test_a_file_of_the_same_age_that_is_renamed_over_another_is_read(freezer: Freezer, tmp_path: Path) -> None:
    path, other = freezer.package / "furnace.py", tmp_path / "other"
    other.write_text(path.read_text().swapcase())
    shutil.copystat(path, other)
    other.replace(path)
    assert freezer.freeze() == on_disk(freezer.package)
    assert freezer.reads == ["furnace.py"]


def test_two_files_that_change_places_are_read(freezer: Freezer) -> None:
    one, other, aside = (freezer.package / name for name in ("__init__.py", "furnace.py", "aside"))
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    assert freezer.freeze() == on_disk(freezer.package)


def test_a_copied_tree_is_read_anew(freezer: Freezer, tmp_path: Path) -> None:
    copied = tmp_path / "copy" / "my_lab"
    shutil.copytree(freezer.package, copied)
    freezer.package = copied
    (copied / "furnace.py").write_text((copied / "furnace.py").read_text().swapcase())
    assert freezer.freeze() == on_disk(copied)
    assert len(freezer.reads) == 3


@pytest.mark.parametrize("jump", [-24 * HOUR, 24 * HOUR])
def test_a_change_after_the_clock_jumped_is_read(freezer: Freezer, clock: Clock, jump: int) -> None:
    clock.ahead += jump
    (freezer.package / "furnace.py").write_text("'FURNACE.PY'")
    assert freezer.freeze() == on_disk(freezer.package)
    clock.ahead -= jump
    assert freezer.freeze() == on_disk(freezer.package)


def test_nothing_is_remembered_of_a_freeze_that_was_refused(freezer: Freezer) -> None:
    (freezer.package / "furnace.py").write_text("LIMIT = 1300")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SourceError):
        patch.setattr(_folder.Folder, "check", refuse)
        freezer.freeze()
    freezer.freeze()
    assert freezer.reads == ["furnace.py"]


def refuse(_: object) -> None:
    raise SourceError("moved")


@dataclass
class Disk:
    """A file system whose clock ticks every two seconds, as the coarsest do; content and inodes are real."""

    now: int = 1_000_000 * SECOND
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def tick(self) -> int:
        return self.now - self.now % (2 * SECOND)

    def stamp(self, path: Path, modified: int | None = None) -> None:
        self.stamps[str(path)] = (self.tick if modified is None else modified, self.tick)

    def modified(self, path: Path) -> int:
        return self.stamps[str(path)][0]

    def lstat(self, root: str, path: str) -> os.stat_result | None:
        place = f"{root}/{path}"
        if not os.path.lexists(place):
            return None
        modified, changed = self.stamps[place]
        return os.stat_result(tuple(os.lstat(place)), {"st_mtime_ns": modified, "st_ctime_ns": changed})

    def key(self, path: str, found: os.stat_result, _: int) -> str | None:
        return stat_key(path, found, self.now)


names = st.sampled_from(["a.py", "b.py", "c.csv"])
letters = st.sampled_from("abcd")


class Editing(RuleBasedStateMachine):
    """Whatever is done to files, and however fast: a freeze with a cache gives what is on disk.

    All contents have the same size, so that nothing but time stamps and inodes tells them apart.
    """

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.package = self.home / "my_lab"
        (self.home / "cache").mkdir()
        self.package.mkdir()
        self.disk = Disk()
        self.freezer = Freezer(self.package, self.home / "cache")
        for name in ("a.py", "b.py", "c.csv"):
            self.write(name, "a")

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    @rule(name=names, letter=letters)
    def write(self, name: str, letter: str) -> None:
        (self.package / name).write_text(letter)
        self.disk.stamp(self.package / name)

    @rule(name=names, letter=letters)
    def write_and_set_the_time_back(self, name: str, letter: str) -> None:
        path = self.package / name
        before = self.disk.modified(path) if path.exists() else 0
        path.write_text(letter)
        self.disk.stamp(path, before)

    @rule(name=names)
    def touch(self, name: str) -> None:
        if (self.package / name).exists():
            self.disk.stamp(self.package / name)

    @rule(name=names, letter=letters)
    def rename_over(self, name: str, letter: str) -> None:
        path, other = self.package / name, self.home / "other"
        other.write_text(letter)
        before = self.disk.modified(path) if path.exists() else 0
        other.replace(path)
        self.disk.stamp(path, before)

    @rule(one=names, other=names)
    def swap(self, one: str, other: str) -> None:
        first, second, aside = self.package / one, self.package / other, self.home / "aside"
        if one != other and first.exists() and second.exists():
            times = self.disk.modified(first), self.disk.modified(second)
            first.rename(aside)
            second.rename(first)
            aside.rename(second)
            self.disk.stamp(first, times[1])
            self.disk.stamp(second, times[0])

    @rule(name=st.sampled_from(["b.py", "c.csv"]))
    def delete(self, name: str) -> None:
        (self.package / name).unlink(missing_ok=True)

    @rule(seconds=st.sampled_from([0.001, 1, 2, 2.001, 3600]))
    def wait(self, seconds: float) -> None:
        self.disk.now += int(seconds * SECOND)

    @rule()
    def restart(self) -> None:
        known = self.freezer._objects
        self.freezer = Freezer(self.package, self.home / "cache")
        self.freezer._objects.update(known)

    @invariant()
    def a_freeze_gives_what_is_on_disk(self) -> None:
        with coarse(self.disk):
            assert self.freezer.freeze() == on_disk(self.package)


@contextmanager
def coarse(disk: Disk) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_folder, "_lstat", disk.lstat)
        patch.setattr(_folder, "stat_key", disk.key)
        patch.setattr(_git, "listed", lambda _: None)
        patch.setattr(_git, "state", lambda _: None)
        yield


TestEditing = pytest.mark.system(Editing.TestCase)
TestEditing.settings = settings(stateful_step_count=20)
