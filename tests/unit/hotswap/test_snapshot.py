"""The manifest of a snapshot and the id that follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap.environment import Distribution, Environment
from hotswap.errors import StoreError
from hotswap.snapshot import FileEntry, Origin, Snapshot

ENVIRONMENT = Environment("cp311", (Distribution("numpy", "2.0"), Distribution("mine", "0.1", "ab" * 32)))
FILES = (FileEntry("my_lab/__init__.py", 0o644, 3, "11" * 32), FileEntry("my_lab/tool", 0o755, 4, "22" * 32))
ORIGIN = Origin("c" * 40, False, "A <a@b.c>", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "Fix")

entries = st.builds(
    FileEntry,
    path=st.text(min_size=1).map("my_lab/{}".format),
    mode=st.sampled_from([0o644, 0o755]),
    size=st.integers(0, 2**40),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
listings = st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.path)


def make(files: tuple[FileEntry, ...] = FILES, environment: Environment = ENVIRONMENT) -> Snapshot:
    return Snapshot.of("my_lab", files, environment, ORIGIN)


@given(listings)
def test_a_snapshot_survives_json(files: list[FileEntry]) -> None:
    snapshot = make(tuple(files))
    assert Snapshot.from_dict(json.loads(json.dumps(snapshot.to_dict()))) == snapshot


@given(listings.flatmap(lambda files: st.tuples(st.just(files), st.permutations(files))))
def test_the_order_of_files_does_not_matter(files: tuple[list[FileEntry], list[FileEntry]]) -> None:
    assert make(tuple(files[0])).id == make(tuple(files[1])).id


@given(listings, listings)
def test_different_content_has_different_ids(one: list[FileEntry], other: list[FileEntry]) -> None:
    assert (make(tuple(one)).id == make(tuple(other)).id) == (sorted(one) == sorted(other))


@pytest.mark.parametrize(
    "change",
    [
        {"path": "my_lab/other.py"},
        {"mode": 0o755},
        {"size": 5},
        {"digest": "33" * 32},
    ],
)
def test_each_fact_of_a_file_counts(change: dict[str, object]) -> None:
    changed = (FILES[0]._replace(**change), FILES[1])
    assert make(changed).source_digest != make().source_digest


def test_the_environment_counts_for_the_id_but_not_for_the_source() -> None:
    other = make(environment=Environment("cp311", (Distribution("numpy", "2.1"),)))
    assert other.source_digest == make().source_digest
    assert other.id != make().id


def test_the_python_counts() -> None:
    assert make(environment=replace(ENVIRONMENT, python="cp312")).id != make().id


def test_time_and_origin_do_not_count() -> None:
    again = Snapshot.of("my_lab", FILES, ENVIRONMENT, Origin())
    assert again.id == make().id


def test_a_manifest_that_was_changed_is_not_consistent() -> None:
    assert make().is_consistent()
    assert not replace(make(), files=FILES[:1]).is_consistent()
    assert not replace(make(), environment=Environment("cp311")).is_consistent()
    assert not replace(make(), package="other").is_consistent()


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 2"):
        Snapshot.from_dict({**make().to_dict(), "format": 2})


def test_short_ids_have_twelve_characters() -> None:
    assert make().short_id == make().id[:12]


def test_a_file_is_found_by_its_path() -> None:
    assert make().file("my_lab/tool") == FILES[1]
    assert make().file("my_lab/nothing") is None
