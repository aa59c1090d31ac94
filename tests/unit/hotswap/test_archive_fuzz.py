"""Archives and manifests that were changed at random: refused in a sentence, or accepted as what they were.

``HOTSWAP_FUZZ_SEED`` repeats a run. ``make test-long`` tries thousands.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from mutations import mutated_archive, mutated_manifest

from hotswap.archive import export, load
from hotswap.environment import Distribution, Environment
from hotswap.errors import HotswapError
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store

pytestmark = pytest.mark.system  # no server, but it takes seconds

SEED = int(os.environ.get("HOTSWAP_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
PACKAGES = [
    {"__init__.py": b"x = 1\n", "tool.py": b"y = 2\n", "run.sh": b"#!/bin/sh\n"},
    {"__init__.py": b"", "data/größe.json": b"{}", f"{'deep/' * 25}{'n' * 120}.py": b"z = 3\n", "block": b"1" * 1024},
]


class Seeds(NamedTuple):
    """A store, what it holds, and the archives of that."""

    store: Store
    snapshots: list[Snapshot]
    archives: list[bytes]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    folder = tmp_path_factory.mktemp("seeds")
    found = Seeds(Store(folder / "store"), [], [])
    environment = Environment("cp311", (Distribution("numpy", "2.0"), Distribution("mine", "0.1", "ab" * 32)))
    for number, contents in enumerate(PACKAGES):
        package = folder / str(number) / "my_lab"
        for name, data in contents.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_bytes(data)
        snapshot = found.store.freeze(TreeSource(package), environment)
        export(found.store, snapshot.id, folder / "version.tar")
        found.snapshots.append(snapshot)
        found.archives.append((folder / "version.tar").read_bytes())
    return found


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder in which only ``stores`` may change."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "passwd").write_bytes(b"root")
    (tmp_path / "stores").mkdir()
    return tmp_path


def listing(outside: Path) -> dict[Path, tuple[int, bytes]]:
    """Everything but what is in ``stores``."""
    paths = (path for top in outside.iterdir() for path in ([top] if top.name == "stores" else [top, *top.rglob("*")]))
    return {path: (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in paths}


def check_sentence(problem: HotswapError) -> None:
    told = str(problem)
    assert told.endswith(".")
    assert told.isprintable()
    assert len(told) < 10_000


def inputs() -> Iterator[tuple[random.Random, str]]:
    """Generators, each with the words that tell how to repeat what it made."""
    print(f"HOTSWAP_FUZZ_SEED={SEED}")
    for number in range(settings.default.max_examples):
        yield random.Random(f"{SEED}:{number}"), f"HOTSWAP_FUZZ_SEED={SEED}, input {number}"


def test_changed_archives(seeds: Seeds, outside: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = listing(outside)
    folder = tmp_path_factory.mktemp("archives")
    given, again = folder / "given.tar", folder / "again.tar"
    store, accepted = Store(outside / "stores" / "0"), 0
    for rng, words in inputs():
        given.write_bytes(mutated_archive(rng, seeds.archives))
        try:
            identity = load(store, given).snapshot.id
        except HotswapError as problem:
            check_sentence(problem)
            assert store.list() == [], words
        else:
            assert identity in {one.id for one in seeds.snapshots}, words
            export(store, identity, again)
            assert again.read_bytes() == given.read_bytes(), words
            accepted += 1
        assert store.verify() == [], words
        assert listing(outside) == before, words
        if store.list():
            store = Store(outside / "stores" / str(accepted))
    assert accepted < settings.default.max_examples / 2


def test_changed_manifests(seeds: Seeds, outside: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # each refusal is logged, too
    before = listing(outside)
    store = Store(outside / "stores" / "0")
    shutil.copytree(seeds.store.root, store.root)
    paths = [store.root / "manifests" / f"{one.id}.json" for one in seeds.snapshots]
    manifests = [path.read_bytes() for path in paths]
    refused = 0
    for rng, words in inputs():
        index = rng.randrange(len(paths))
        paths[index].unlink()
        paths[index].write_bytes(mutated_manifest(rng, manifests))
        refused += not is_accepted(store, seeds.snapshots[index])
        store.repair(store.verify())
        assert listing(outside) == before, words
        paths[index].unlink()
        paths[index].write_bytes(manifests[index])
        assert store.repair(store.verify()) == [], words
    assert refused > settings.default.max_examples / 2


def is_accepted(store: Store, snapshot: Snapshot) -> bool:
    store.list()
    try:
        found = store.open(snapshot.id)
    except HotswapError as problem:
        check_sentence(problem)
        return False
    assert (found.id, found.files, found.environment) == (snapshot.id, snapshot.files, snapshot.environment)
    return True
