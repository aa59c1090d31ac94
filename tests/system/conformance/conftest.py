"""Two versions of one package, each in a process that was forked and in one that was spawned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from two_versions import WAYS, WORDS, Both, write_version

import hotswap

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def open_both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Both]]:
    """Opens both versions in a way, once; every process finds what plays installed libraries."""
    store = hotswap.Store(tmp_path_factory.mktemp("conformance") / "store")
    with ExitStack() as closing, ThreadPoolExecutor(len(WORDS)) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE / "installed"), prepend=os.pathsep)
        for name in ("PYTHONUNBUFFERED", "PYTHONBREAKPOINT", "PYTHONSAFEPATH"):  # as on a machine without settings
            patch.delenv(name, raising=False)

        @cache
        def open_them(way: str) -> Both:
            folder = tmp_path_factory.mktemp(way)
            sources = list(pool.map(lambda word: write_version(HERE, folder / word, word, way), WORDS))
            frozen = [store.freeze(source).id for source in sources]
            opened = list(pool.map(lambda identity: hotswap.open(identity, store.root), frozen))
            return Both(way, store.root, [closing.enter_context(version) for version in opened])

        yield open_them


@pytest.fixture(params=list(WAYS))
def both(request: pytest.FixtureRequest, open_both: Callable[[str], Both]) -> Both:
    return open_both(request.param)


@pytest.fixture
def told(both: Both, request: pytest.FixtureRequest) -> list[Any]:
    """What both tell at the point that a test is named after: at ``ys:x`` for ``test_x`` in ``test_conform_ys``."""
    module = request.path.stem.removeprefix("test_conform_")
    point = getattr(request.node, "originalname", "").removeprefix("test_")
    return both.run(f"conform.{module}:{point}")
