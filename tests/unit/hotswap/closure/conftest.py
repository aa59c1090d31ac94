"""Packages written, really run, and judged."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from hotswap.closure import Closure, Verdict

CLASS = "p.dev:Dev"


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "p"]:
            del sys.modules[name]


def write(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    digests = {}
    for path, text in {"__init__.py": "", **files}.items():
        target = folder / "p" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        digests[f"p/{path}"] = blake3(text.encode()).hexdigest()
    return digests


def behaviour(folder: Path, digests: Mapping[str, str]) -> object:
    """What the class answers after every module of the package was imported, as a version process does."""
    with _importable(folder):
        for path in sorted(path for path in digests if path.endswith(".py")):
            importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        return sys.modules["p.dev"].Dev().run()


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[Mapping[str, str]], Verdict]:
    """The verdict on ``p.dev:Dev`` in a package of these files."""

    def verdict(files: Mapping[str, str]) -> Verdict:
        folder = tmp_path / blake3(repr(sorted(files.items())).encode()).hexdigest()[:12]
        return Closure(folder, write(folder, files)).verdict(CLASS)

    return verdict


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Mapping[str, str]], object]:
    """What ``p.dev.Dev().run()`` answers in a package of these files."""

    def answer(files: Mapping[str, str]) -> object:
        folder = tmp_path / "run" / blake3(repr(sorted(files.items())).encode()).hexdigest()[:12]
        return behaviour(folder, write(folder, files))

    return answer
