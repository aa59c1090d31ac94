"""Freezing a tree of 10,000 files: cold, unchanged and with one change; beside git, which does the like."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.results import Benchmark, Findings
from hotswap.digest import RACY_WINDOW_NS
from hotswap.source import GitSource, TreeSource
from hotswap.store import Store

FILES: Final = 10_000
_FOLDERS: Final = 100
_MODULES: Final = 95  # per folder; one file in twenty is data, as in the starter lab
_DATA: Final = FILES // _FOLDERS - _MODULES
_LIMIT_SECONDS: Final = 0.3
_PACKAGE: Final = "big_lab"


def run(quick: bool) -> Findings:
    """Most files are modules of half a kilobyte; see `_write_files`."""
    n = 3 if quick else 15
    with tempfile.TemporaryDirectory() as folder:
        tree = _Tree(Path(folder) / "repository")
        cold = _timed(tree.freeze)
        _outlive_racy_window()
        tree.freeze()
        unchanged = [_timed(tree.freeze) for _ in range(n)]
        changed, by_git = zip(*(_after_change(tree) for _ in range(n)), strict=True)
        tree.commit()
        tree.freeze_commit()
        committed = [_after_commit(tree) for _ in range(n)]
        added = _timed(tree.add_anew)
    git = f"git add -A && git write-tree after the same change, same run: {median(by_git):.3f} s"
    budget = limit(_LIMIT_SECONDS, "s", f"{FILES} files; {git}")
    return Findings(
        [
            Figure("freeze_cold", cold, "s", 1, Reference("git add -A of the same tree into a new repository", added)),
            Figure("freeze_unchanged", median(unchanged), "s", n, limit(_LIMIT_SECONDS, "s", f"{FILES} files")),
            Figure("freeze_one_change", median(changed), "s", n, budget),
            Figure("freeze_one_commit", median(committed), "s", n, limit(_LIMIT_SECONDS, "s", "as above, of a commit")),
        ]
    )


class _Tree:
    """A repository with one large package, and a store that it is frozen into."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._package = root / _PACKAGE
        self._changes = 0
        _write_files(self._package)
        self._git("init", "--quiet")
        self.commit()
        self._store = Store(root.with_name("store"))

    def freeze(self) -> str:
        return self._store.freeze(TreeSource(self._package)).id

    def freeze_commit(self) -> str:
        with GitSource(self._root, _PACKAGE) as source:
            return self._store.freeze(source).id

    def change(self) -> None:
        """Give one module other content."""
        self._changes += 1
        path = self._package / f"part_{self._changes % _FOLDERS}" / "module_0.py"
        path.write_text(f"VALUE = 'change {self._changes}'\n")

    def write_tree(self) -> None:
        """What git does to name the content of its working tree."""
        self._git("add", "--all")
        self._git("write-tree")

    def commit(self) -> None:
        self._git("add", "--all")
        author = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
        self._git(*author, "commit", "--quiet", "--allow-empty", "--message=Change")

    def add_anew(self) -> None:
        """Have git read and store everything for the first time, elsewhere."""
        elsewhere = self._root.with_name("elsewhere.git")
        self._git("init", "--quiet", "--bare", str(elsewhere))
        self._git(f"--git-dir={elsewhere}", f"--work-tree={self._root}", "add", "--all")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self._root, check=True, capture_output=True)


def _after_change(tree: _Tree) -> tuple[float, float]:
    """Seconds to freeze, and seconds that git needs for the same change."""
    tree.change()
    return _timed(tree.freeze), _timed(tree.write_tree)


def _after_commit(tree: _Tree) -> float:
    tree.change()
    tree.commit()
    return _timed(tree.freeze_commit)


def _write_files(package: Path) -> None:
    for number in range(_FOLDERS):
        folder = package / f"part_{number}"
        folder.mkdir(parents=True)
        for index in range(_MODULES):
            (folder / f"module_{index}.py").write_text(_module(number, index))
        for index in range(_DATA):
            (folder / f"data_{index}.csv").write_text(f"{number},{index}\n" * 128)
    (package / "part_0" / f"module_{_MODULES - 1}.py").rename(package / "__init__.py")


def _module(number: int, index: int) -> str:
    functions = [f"def function_{line}(value: int) -> int:\n    return value + {line}\n" for line in range(8)]
    return f'"""Module {index} of part {number}."""\n\nNUMBER = {number * 1000 + index}\n\n\n' + "\n\n".join(functions)


def _outlive_racy_window() -> None:
    """Files that changed a moment ago are read again; a tree that people work on is older."""
    time.sleep(RACY_WINDOW_NS / 1e9 + 0.5)


def _timed(action: Callable[[], object]) -> float:
    os.sync()  # what others wrote must not be waited for here
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


BENCHMARK: Final = Benchmark(
    f"freezing a tree of {FILES} files",
    ("freeze_cold", "freeze_unchanged", "freeze_one_change", "freeze_one_commit"),
    run,
)
