"""What a process forks while it has a lock of the store does not keep that lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hotswap.source import TreeSource
from hotswap.store import Store
from hotswap.store._layout import Layout

pytestmark = pytest.mark.system


@contextmanager
def forked() -> Iterator[None]:
    """A child with all our descriptors, which lives on for as long as the body."""
    end, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    try:
        yield
    finally:
        os.close(ours)
        os.waitpid(child, 0)


def is_free(lock: Path) -> bool:
    with lock.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_the_lock_of_writers_is_free_although_a_child_was_forked_under_it(tmp_path: Path) -> None:
    with ExitStack() as children:
        with Layout(tmp_path).writing():
            children.enter_context(forked())
        assert is_free(tmp_path / "lock")


def test_a_snapshot_that_was_nearly_collected_is_free_although_a_child_was_forked(tmp_path: Path) -> None:
    package = tmp_path / "my_lab"
    package.mkdir()
    (package / "__init__.py").touch()
    identity = Store(tmp_path / "store").freeze(TreeSource(package)).id
    manifests = Layout(tmp_path / "store").manifests
    with ExitStack() as children:
        with manifests.unused(identity):
            children.enter_context(forked())
        assert is_free(manifests.path(identity))
