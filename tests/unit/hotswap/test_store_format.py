"""The store can be read as its reference page says, without any of our code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from blake3 import blake3
from held_source import CODE, EMPTY, Held, version

from hotswap.generations import FileGenerations
from hotswap.snapshot import Origin
from hotswap.store import Store

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "store-format.md").read_text()
EXAMPLE = PAGE.partition("\n## Id\n")[2].partition("\n## ")[0]
ORIGIN = Origin(commit="4" * 40, dirty=False, author="Ada <ada@lab.org>", message="Größer\n\u2028")


def digest(data: bytes) -> str:
    return str(blake3(data).hexdigest())


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```", EXAMPLE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_worked_example_is_right(store: Store) -> None:
    content, source, environment, identity = blocks("text")
    assert content == digest(b"x = 1\n")
    assert [digest(text.encode("ascii")) for text in blocks("json")] == [source, environment, identity]
    snapshot = store.freeze(Held({"my_lab/__init__.py": b"x = 1\n"}), EMPTY)
    assert snapshot.id == identity
    assert (store.root / "manifests" / f"{identity}.json").is_file()
    assert (store.root / "trees" / identity / "my_lab" / "__init__.py").read_bytes() == b"x = 1\n"
    assert (store.root / "objects" / content[:2] / content[2:]).read_bytes() == b"x = 1\n"


def test_a_snapshot_can_be_read_by_hand(store: Store) -> None:
    identity = store.freeze(Held(CODE, origin=ORIGIN, modes={"my_lab/data.txt": 0o755}), EMPTY).id
    manifest = json.loads((store.root / "manifests" / f"{identity}.json").read_text("ascii"))
    read = {path: (store.root / "objects" / one[:2] / one[2:]).read_bytes() for path, *_, one in files(manifest)}
    assert read == CODE
    assert all(digest(read[path]) == one and len(read[path]) == size for path, _, size, one in files(manifest))
    assert {path: mode for path, mode, *_ in files(manifest)}["my_lab/data.txt"] == 493
    compiled = {path: one for path, _, _, one in manifest["bytecode"]}
    assert {digest((store.root / "trees" / identity / path).read_bytes()) for path in compiled} == set(
        compiled.values()
    )


def files(manifest: dict[str, dict[str, list[tuple[str, int, int, str]]]]) -> list[tuple[str, int, int, str]]:
    return manifest["snapshot"]["files"]


def test_every_field_of_a_manifest_is_explained(store: Store) -> None:
    identity = store.freeze(Held(CODE, origin=ORIGIN), EMPTY).id
    manifest = json.loads((store.root / "manifests" / f"{identity}.json").read_bytes())
    explained = set(re.findall(r"`(\w+)`", PAGE.partition("\n## Manifest\n")[2].partition("\n## ")[0]))
    snapshot = manifest["snapshot"]
    names = [*manifest, *snapshot, *snapshot["environment"], *snapshot["origin"]]
    assert [name for name in names if name not in explained] == []


def test_the_checksum_is_that_of_all_but_the_last_82_bytes_of_one_line(store: Store) -> None:
    identity = store.freeze(Held(CODE, origin=ORIGIN), EMPTY).id
    data = (store.root / "manifests" / f"{identity}.json").read_bytes()
    assert json.loads(data)["checksum"] == digest(data[:-82])
    assert data.index(b"\n") == len(data) - 1


def test_every_name_at_the_top_of_a_store_is_explained(store: Store) -> None:
    identity = store.freeze(version(1), EMPTY, hold="paper 12").id
    store.claim("the laboratory north", "lab collect")
    store.collect()
    FileGenerations(store.root, "my_lab").promote(
        identity, expected=None, commit=None, dirty=True, environment="", actor="Ada", reason="first"
    )
    table = PAGE.partition("|---|---|")[2].partition("\n\n")[0]
    explained = set(re.findall(r"`([\w.]+)", table.replace("`, `", "` `")))
    assert {path.name for path in store.root.iterdir()} <= explained


def test_a_hold_can_be_read_by_hand(store: Store) -> None:
    identity = store.freeze(version(1), EMPTY, hold="paper 12").id
    (path,) = (store.root / "holds").iterdir()
    assert path.name == f"{identity}.{digest(b'paper 12')[:16]}.json"
    facts = json.loads(path.read_text())
    assert (facts["snapshot"], facts["reason"], sorted(facts)) == (
        identity,
        "paper 12",
        ["reason", "since", "snapshot"],
    )
