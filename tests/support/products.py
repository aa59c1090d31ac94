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


@contextmanager
def edited(product: Path, *edits: Edit) -> Iterator[None]:
    """Inside the block the product is broken."""
    texts = {edit.path: (product / edit.path).read_text() for edit in edits}
    try:
        for edit in edits:
            text = (product / edit.path).read_text()
            assert text.count(edit.before) == 1, (
                f"{edit.before!r} occurs {text.count(edit.before)} times in {edit.path}"
            )
            (product / edit.path).write_text(text.replace(edit.before, edit.after))
        yield
    finally:
        for path, text in texts.items():
            (product / path).write_text(text)
