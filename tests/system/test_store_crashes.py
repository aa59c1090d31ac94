"""Whatever step of a change fails, or is the last one of its process: nothing is half-done, and a retry succeeds."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from forgetful_disk import WHENS, failing, intercepted, killing, unhurried
from held_source import CODE, EMPTY, Held, debris, version

from hotswap.archive import export, load
from hotswap.errors import StoreError
from hotswap.store import Retention, Store

pytestmark = pytest.mark.system

NEW = Held({**CODE, "my_lab/shared.txt": b"shared"}, modes={"my_lab/data.txt": 0o755})
AT_ONCE = Retention(keep_last=1, keep_days=0, grace_seconds=0)


FEWEST = {"before": 20, "amid": 1, "after": 20}
"""A change has at least as many steps, so that a test that strikes none cannot pass."""


def old_snapshots(root: Path) -> Store:
    """A store with three versions, of which the first is held."""
    store = Store(root)
    store.freeze(version(1), EMPTY, hold="paper 12")
    store.freeze(version(2), EMPTY)
    store.freeze(version(3), EMPTY)
    return store


@dataclass(frozen=True)
class Change:
    """Something that changes a store; ``after`` are the packages' first lines that are there when it is done."""

    name: str
    make: Callable[[Store], Any]
    prepare: Callable[[Path], Store]
    before: frozenset[bytes]
    after: frozenset[bytes]


def freeze(store: Store) -> None:
    store.freeze(NEW, EMPTY, hold="paper 13")


def collect(store: Store) -> None:
    store.collect(retention=AT_ONCE)


def archived(root: Path) -> Store:
    """An empty store, beside an archive."""
    elsewhere = Store(root.with_name("elsewhere"))
    export(elsewhere, elsewhere.freeze(NEW, EMPTY).id, root.with_name("archive.tar"))
    return Store(root)


def import_archive(store: Store) -> None:
    load(store, store.root.with_name("archive.tar"), hold="paper 13")


def sources(*numbers: int) -> frozenset[bytes]:
    return frozenset(version(number).contents["my_lab/__init__.py"] for number in numbers)


FROZEN = frozenset({NEW.contents["my_lab/__init__.py"]})
CHANGES = [
    Change("a freeze", freeze, old_snapshots, sources(1, 2, 3), sources(1, 2, 3) | FROZEN),
    Change("an import", import_archive, archived, frozenset(), FROZEN),
    Change("a collection", collect, old_snapshots, sources(1, 2, 3), sources(1, 3)),
]


def present(store: Store) -> frozenset[bytes]:
    """What the store holds, read back from whole snapshots."""
    return frozenset(store.read(store.open(one.id).id, "my_lab/__init__.py") for one in store.list())


def is_between(found: frozenset[bytes], change: Change) -> bool:
    """Each snapshot that the change is about is there or not; all others are."""
    return change.before & change.after <= found <= change.before | change.after


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with unhurried():
        yield


@pytest.fixture(params=CHANGES, ids=lambda change: change.name.replace(" ", "-"))
def change(request: pytest.FixtureRequest) -> Change:
    found: Change = request.param
    return found


def struck_stores(
    tmp_path: Path,
    change: Change,
    strike: Callable[[str, int, Callable[[], Any]], bool],
    whens: tuple[str, ...] = WHENS,
) -> Iterator[tuple[str, Store]]:
    """A store for each instant at which the change was struck: before, amid and after every step."""
    template = tmp_path / "template"
    change.prepare(template)
    for when in whens:
        for number in count():
            root = tmp_path / f"{when}-{number}"
            if template.exists():
                shutil.copytree(template, root)
            if not strike(when, number, partial(change.make, Store(root))):
                assert number >= FEWEST[when]
                break
            yield f"{when} step {number}", Store(root)


def check(point: str, store: Store, change: Change) -> None:
    """After an unclean end: all is sound, the retry succeeds, and nothing is left of the first attempt."""
    assert is_between(present(store), change), point
    assert store.verify() == [], point
    change.make(store)
    assert present(store) == change.after, point
    assert store.verify() == [], point
    assert debris(store) == [], point


def fail(when: str, number: int, action: Callable[[], Any]) -> bool:
    """Fail a step; whether there was one."""
    error, told = (errno.EIO, "cannot be written") if when == "after" else (errno.ENOSPC, "is full")
    strike = failing(when, number, error)
    with intercepted(strike):
        try:
            action()
        except StoreError as problem:
            assert told in str(problem)
    return strike.struck


def test_a_step_that_fails_is_told_in_one_sentence_and_leaves_nothing_half_done(tmp_path: Path, change: Change) -> None:
    for point, store in struck_stores(tmp_path, change, fail):
        if change.make is not collect:
            assert debris(store) == [], point
        check(point, store, change)


def kill(when: str, number: int, action: Callable[[], Any]) -> bool:
    """Kill a child that makes the change, at a step; whether there was one."""
    child = os.fork()
    if child == 0:
        try:
            with intercepted(killing(when, number)):
                action()
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in {0, signal.SIGKILL}
    return status == signal.SIGKILL


def test_a_process_that_is_killed_at_any_step_leaves_nothing_half_done(tmp_path: Path, change: Change) -> None:
    for point, store in struck_stores(tmp_path, change, kill, ("before", "amid")):  # after one step is before the next
        check(point, store, change)
