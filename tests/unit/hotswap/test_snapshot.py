"""The manifest of a snapshot and the id that follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap._names import clash
from hotswap.environment import Distribution, Environment
from hotswap.errors import ManifestError
from hotswap.snapshot import LARGEST_FILE, MODES, FileEntry, Origin, Snapshot

ENVIRONMENT = Environment("cp311", (Distribution("numpy", "2.0"), Distribution("mine", "0.1", "ab" * 32)))
FILES = (FileEntry("my_lab/__init__.py", 0o644, 3, "11" * 32), FileEntry("my_lab/tool", 0o755, 4, "22" * 32))
ORIGIN = Origin("c" * 40, False, "A <a@b.c>", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "Fix")

entries = st.builds(
    FileEntry,
    path=st.from_regex(r"my_lab/[a-z]{1,4}(/[a-zäß_0-9 ]{1,8}\.py)?", fullmatch=True),
    mode=st.sampled_from(MODES),
    size=st.integers(0, LARGEST_FILE),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
listings = st.lists(entries, min_size=1, max_size=5).filter(lambda found: clash(one.path for one in found) is None)


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


@pytest.mark.parametrize("number", [0, 2, "1", True, None])
def test_an_unknown_format_is_refused(number: object) -> None:
    with pytest.raises(ManifestError, match=f"format {number!r} and this version of hotswap reads format 1"):
        Snapshot.from_dict({**make().to_dict(), "format": number})


@pytest.mark.parametrize("field", ["id", "package", "files", "source_digest", "environment", "origin", "frozen_at"])
@pytest.mark.parametrize("value", [None, True, 7, 2.5, "", "x\ud800", "not so", [None], {"a": 1}])
def test_a_field_that_is_not_what_it_should_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ManifestError, match=field.removesuffix("s")):
        Snapshot.from_dict({**make().to_dict(), field: value})


@pytest.mark.parametrize("field", make().to_dict())
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    manifest = make().to_dict()
    del manifest[field]
    with pytest.raises(ManifestError, match=f"the manifest has no field '{field}'"):
        Snapshot.from_dict(manifest)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (["my_lab/a.py", 420, 1], "a list of 3 instead of path, mode, size and digest"),
        ([7, 420, 1, "11" * 32], "the path of a file is 7"),
        (["my_lab/\ud800", 420, 1, "11" * 32], "the path of a file is"),
        (["my_lab/a.py", 0o777, 1, "11" * 32], "the mode of 'my_lab/a.py' is 511"),
        (["my_lab/a.py", 0o4755, 1, "11" * 32], "the mode"),
        (["my_lab/a.py", 420.0, 1, "11" * 32], "the mode"),
        (["my_lab/a.py", 420, -1, "11" * 32], "the size of 'my_lab/a.py' is -1"),
        (["my_lab/a.py", 420, 8**11, "11" * 32], "the size"),
        (["my_lab/a.py", 420, 10**99, "11" * 32], "the size of 'my_lab/a.py' is a huge number"),
        (["my_lab/a.py", 420, True, "11" * 32], "the size"),
        (["my_lab/a.py", 420, 1, "11" * 31], "the digest of 'my_lab/a.py'"),
        (["my_lab/a.py", 420, 1, "AA" * 32], "the digest"),
        (["my_lab/a.py", 420, 1, "../" * 20 + "abcd"], "the digest"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_name(entry: list[object], reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        Snapshot.from_dict({**make().to_dict(), "files": [entry]})


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["/etc/passwd"], "'/etc/passwd' is not allowed"),
        (["my_lab/../../x.py"], "it leaves its folder"),
        (["my_lab//x.py"], "empty part"),
        (["my_lab/./x.py"], "'my_lab/./x.py' is not allowed"),
        (["my_lab/a\\b.py"], "the character"),
        (["my_lab/a\nb.py"], "the character"),
        (["my_lab/aux.py"], "means a device"),
        (["my_lab/__pycache__/a.pyc"], "byte-code"),
        (["my_lab/a.py", "my_lab/a.py"], "'my_lab/a.py' is there twice"),
        (["my_lab/A.py", "my_lab/a.py"], "differ only in case"),
        (["my_lab/\u00e4.py", "my_lab/a\u0308.py"], "differ only in case or Unicode normalisation"),
        (["my_lab/a", "my_lab/a/b.py"], "both a file and a folder"),
        (["my_lab/b.py", "my_lab/a.py"], "not sorted: 'my_lab/a.py' comes after 'my_lab/b.py'"),
    ],
)
def test_paths_that_not_every_system_can_keep_are_refused_by_name(paths: list[str], reason: str) -> None:
    files = [[path, 0o644, 1, "11" * 32] for path in paths]
    with pytest.raises(ManifestError, match=reason):
        Snapshot.from_dict({**make().to_dict(), "files": files})


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-02T03:04:05", "0001-01-01T00:00:00+00:00", "20\ud800"])
def test_a_time_that_not_every_place_can_tell_is_refused(moment: str) -> None:
    with pytest.raises(ManifestError, match="'frozen_at' of the manifest"):
        Snapshot.from_dict({**make().to_dict(), "frozen_at": moment})
    with pytest.raises(ManifestError, match="'committed_at' of the origin"):
        Origin.from_dict({**ORIGIN.to_dict(), "committed_at": moment})


@pytest.mark.parametrize("entry", ["numpy", ["numpy", "2.0"], ["numpy", 2, None], [None, "2.0", None], {}])
def test_a_distribution_that_is_not_one_is_refused(entry: object) -> None:
    environment = {"python": "cp311", "distributions": [entry]}
    with pytest.raises(ManifestError, match="an entry of the environment"):
        Snapshot.from_dict({**make().to_dict(), "environment": environment})


@pytest.mark.parametrize("data", [None, True, 0, -1.5, "", "{}", b"{}", [], [{}], ()])
def test_what_is_no_manifest_at_all_is_refused(data: object) -> None:
    with pytest.raises(ManifestError, match=r"the manifest is .* instead of an object"):
        Snapshot.from_dict(data)


def test_no_files_are_a_list_of_files_too() -> None:
    assert Snapshot.from_dict({**make().to_dict(), "files": []}).files == ()


def test_a_snapshot_may_tell_when_it_was_frozen_first() -> None:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    assert Snapshot.of("my_lab", FILES, ENVIRONMENT, ORIGIN, moment).frozen_at == moment


def test_short_ids_have_twelve_characters() -> None:
    assert make().short_id == make().id[:12]


def test_a_file_is_found_by_its_path() -> None:
    assert make().file("my_lab/tool") == FILES[1]
    assert make().file("my_lab/nothing") is None
