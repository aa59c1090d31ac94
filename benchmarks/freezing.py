"""Freezing trees of 10,000 files: cold, unchanged and with one change; beside git, which does the like."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import trees
from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.results import Benchmark, Findings
from hotswap.digest import RACY_WINDOW_NS
from hotswap.source import GitSource, TreeSource
from hotswap.store import Store

_LIMIT_SECONDS: Final = 0.3
_PACKAGE: Final = "big_lab"
_MEGABYTE: Final = 1e6


def run(quick: bool) -> Findings:
    """The budget is that of the small tree; the large one shows what sizes cost."""
    return Findings([*_small(3 if quick else 15), *_large(3 if quick else 5)])


def _small(n: int) -> list[Figure]:
    with _tree(trees.small) as tree:
        cold = _timed(tree.freeze)
        _outlive_racy_window()
        tree.freeze()
        unchanged = [_timed(tree.freeze) for _ in range(n)]
        changes = [_after_change(tree) for _ in range(n)]
        committed = _commits(tree, n)
    changed, by_git, by_links = (_seconds(costs) for costs in zip(*changes, strict=True))
    beside = f"git add -A && git write-tree {median(by_git):.3f} s, cp -al of the frozen tree {median(by_links):.3f} s"
    budget = limit(_LIMIT_SECONDS, "s", f"{trees.FILES} files; after the same change, same run: {beside}")
    return [
        Figure("freeze_cold", cold, "s", 1, Reference("git add -A of the same tree into a new repository", tree.added)),
        Figure("freeze_unchanged", median(unchanged), "s", n, limit(_LIMIT_SECONDS, "s", f"{trees.FILES} files")),
        Figure("freeze_one_change", median(changed), "s", n, budget),
        _processor("freeze_one_change_processor", changes),
        Figure("freeze_one_commit", median(committed), "s", n, limit(_LIMIT_SECONDS, "s", "as above, of a commit")),
    ]


def _large(n: int) -> list[Figure]:
    git = "git add -A && git write-tree, same tree, same run"
    with _tree(trees.large) as tree:
        cold = _timed(tree.freeze)
        verified, read = _verify_and_read(tree)
        _outlive_racy_window()
        tree.freeze()
        unchanged, by_git = zip(*((_timed(tree.freeze), _timed(tree.write_tree)) for _ in range(n)), strict=True)
        changes = [_after_change(tree) for _ in range(n)]
    changed, changed_by_git, _ = (_seconds(costs) for costs in zip(*changes, strict=True))
    return [
        Figure("freeze_200mb_cold", cold, "s", 1, Reference(f"{git}, into a new repository", tree.added)),
        Figure("freeze_200mb_unchanged", median(unchanged), "s", n, Reference(git, median(by_git))),
        Figure("freeze_200mb_one_change", median(changed), "s", n, Reference(git, median(changed_by_git))),
        _processor("freeze_200mb_one_change_processor", changes),
        Figure(
            "verify_speed", verified, "MB/s", 1, Reference("merely reading the same files (higher is better)", read)
        ),
    ]


class _Cost(NamedTuple):
    """``processor`` is processor time, that of child processes included; both in seconds."""

    seconds: float
    processor: float


class _Changed(NamedTuple):
    """What it costs to freeze a change, what git needs for it, and what the links alone of the frozen tree cost."""

    frozen: _Cost
    by_git: _Cost
    by_links: _Cost


class _Tree:
    """A repository with one large package, and a store that it is frozen into."""

    def __init__(self, root: Path, write: Callable[[Path], None]) -> None:
        self._root = root
        self._package = root / _PACKAGE
        self._changes = 0
        write(self._package)
        self._git("init", "--quiet")
        self.added = _timed(self.write_tree)
        self.commit()
        self.store = Store(root.with_name("store"))

    def freeze(self) -> str:
        return self.store.freeze(TreeSource(self._package)).id

    def freeze_commit(self) -> str:
        with GitSource(self._root, _PACKAGE) as source:
            return self.store.freeze(source).id

    def change(self) -> None:
        """Give one module other content."""
        self._changes += 1
        path = self._package / f"part_{self._changes % trees.FOLDERS}" / "module_0.py"
        path.write_text(f"VALUE = 'change {self._changes}'\n")

    def write_tree(self) -> None:
        """What git does to name the content of its working tree."""
        self._git("add", "--all")
        self._git("write-tree")

    def link(self) -> None:
        """Link a whole frozen tree anew, as each freeze has to."""
        tree = next((self.store.root / "trees").iterdir())
        subprocess.run(["cp", "-al", tree, self._root.with_name(f"linked-{self._changes}")], check=True)

    def commit(self) -> None:
        self._git("add", "--all")
        author = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
        self._git(*author, "commit", "--quiet", "--allow-empty", "--message=Change")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self._root, check=True, capture_output=True)


@contextmanager
def _tree(write: Callable[[Path], None]) -> Iterator[_Tree]:
    with tempfile.TemporaryDirectory() as folder:
        yield _Tree(Path(folder) / "repository", write)


def _after_change(tree: _Tree) -> _Changed:
    tree.change()
    return _Changed(_cost(tree.freeze), _cost(tree.write_tree), _cost(tree.link))


def _seconds(costs: Iterable[_Cost]) -> list[float]:
    return [cost.seconds for cost in costs]


def _processor(name: str, changes: Sequence[_Changed]) -> Figure:
    """Processor time, which other work on the machine disturbs less, beside that of the links alone."""
    frozen = median([one.frozen.processor for one in changes])
    links = median([one.by_links.processor for one in changes])
    return Figure(name, frozen, "s", len(changes), Reference("cp -al of the frozen tree, same run", links))


def _commits(tree: _Tree, n: int) -> list[float]:
    tree.commit()
    tree.freeze_commit()
    return [_after_commit(tree) for _ in range(n)]


def _after_commit(tree: _Tree) -> float:
    tree.change()
    tree.commit()
    return _timed(tree.freeze_commit)


def _verify_and_read(tree: _Tree) -> tuple[float, float]:
    """Megabytes a second: verifying a store, and reading each file of it that is verified once, in one run."""
    files = list(_files(tree.store.root))
    size = sum(path.stat().st_size for path in files) / _MEGABYTE
    read = _timed(lambda: [path.read_bytes() for path in files])
    return size / _timed(tree.store.verify), size / read


def _files(store: Path) -> Iterator[Path]:
    """Objects, and what lies in trees without being a link to one."""
    yield from (path for path in (store / "objects").rglob("*") if path.is_file())
    yield from (path for path in (store / "trees").rglob("*") if path.is_file() and path.stat().st_nlink == 1)


def _outlive_racy_window() -> None:
    """Files that changed a moment ago are read again; a tree that people work on is older."""
    time.sleep(RACY_WINDOW_NS / 1e9 + 0.5)


def _timed(action: Callable[[], object]) -> float:
    return _cost(action).seconds


def _cost(action: Callable[[], object]) -> _Cost:
    os.sync()  # what others wrote must not be waited for here
    busy, began = sum(os.times()[:4]), time.perf_counter()
    action()
    return _Cost(time.perf_counter() - began, sum(os.times()[:4]) - busy)


BENCHMARK: Final = Benchmark(
    f"freezing trees of {trees.FILES} files, one of them of 200 MB",
    (
        "freeze_cold",
        "freeze_unchanged",
        "freeze_one_change",
        "freeze_one_change_processor",
        "freeze_one_commit",
        "freeze_200mb_cold",
        "freeze_200mb_unchanged",
        "freeze_200mb_one_change",
        "freeze_200mb_one_change_processor",
        "verify_speed",
    ),
    run,
)
