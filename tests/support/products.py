"""Copies of the product in which something is broken, to see whether the tests notice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Edit:
    """``before`` occurs once in ``path`` and gives way to ``after``."""

    path: str
    before: str
    after: str


def copy_product(folder: Path) -> Path:
    """The product and its tests, in an empty folder."""
    for name in ("hotswap", "lab", "tests", "docs", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


NO_SECOND_LOOK = (
    'moved = fresh and (current is None or current["generation"] != each.pin["generation"])',
    "moved = False",
)
"""In ``lab/managers/tasks.py``: a task is dispatched without the second look at what is current."""


def misfits(*edits: Edit, product: Path = ROOT) -> list[str]:
    """What keeps the edits from being made: the product has changed."""
    counts = [(edit, (product / edit.path).read_text().count(edit.before)) for edit in edits]
    return [f"{edit.before!r} occurs {count} times in {edit.path}" for edit, count in counts if count != 1]


@contextmanager
def edited(product: Path, *edits: Edit) -> Iterator[None]:
    """Inside the block the product is broken."""
    texts = {edit.path: (product / edit.path).read_text() for edit in edits}
    try:
        for edit in edits:
            assert misfits(edit, product=product) == []
            file = product / edit.path
            file.write_text(file.read_text().replace(edit.before, edit.after))
        yield
    finally:
        for path, text in texts.items():
            (product / path).write_text(text)
