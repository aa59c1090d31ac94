"""Digests of content, and the memory of those already known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from hotswap.digest import RACY_WINDOW_NS, Memory, canonical_json, hash_bytes, hash_file, hash_json, hash_tree, stat_key


@given(st.binary())
def test_a_digest_is_the_blake3_of_the_bytes(data: bytes) -> None:
    assert hash_bytes(data) == blake3(data).hexdigest()


def test_a_file_has_the_digest_of_its_content(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hash_bytes(data)


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    assert hash_json({"a": 1, "b": [2]}) == hash_json({"b": [2], "a": 1})


def test_what_is_not_a_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@given(st.dictionaries(st.text(), st.text()).flatmap(lambda d: st.permutations(list(d.items()))))
def test_the_order_of_files_does_not_change_the_digest_of_a_tree(files: list[tuple[str, str]]) -> None:
    assert hash_tree(files) == hash_tree(sorted(files))


def test_trees_with_exchanged_contents_differ() -> None:
    assert hash_tree([("a", "1"), ("b", "2")]) != hash_tree([("a", "2"), ("b", "1")])


@pytest.fixture
def stat(tmp_path: Path) -> os.stat_result:
    (tmp_path / "file").write_bytes(b"x")
    return (tmp_path / "file").stat()


def test_a_file_that_has_been_quiet_has_a_key(stat: os.stat_result) -> None:
    later = stat.st_ctime_ns + RACY_WINDOW_NS + 1
    assert stat_key("file", stat, later) == stat_key("file", stat, later + 1)


def test_a_file_changed_just_now_has_no_key(stat: os.stat_result) -> None:
    assert stat_key("file", stat, stat.st_ctime_ns + RACY_WINDOW_NS - 1) is None


def test_a_file_from_the_future_has_no_key(stat: os.stat_result) -> None:
    assert stat_key("file", stat, stat.st_ctime_ns - 10**12) is None


def test_a_rewritten_file_has_another_key(tmp_path: Path, stat: os.stat_result) -> None:
    now = stat.st_ctime_ns + 10**12
    (tmp_path / "other").write_bytes(b"y")
    (tmp_path / "other").replace(tmp_path / "file")
    assert stat_key("file", (tmp_path / "file").stat(), now) != stat_key("file", stat, now)


@pytest.mark.parametrize("place", [1, 2, 6])
def test_each_of_inode_device_and_size_counts(stat: os.stat_result, place: int) -> None:
    now = stat.st_ctime_ns + 10**12
    fields = list(stat)
    fields[place] += 1
    times = {"st_mtime_ns": stat.st_mtime_ns, "st_ctime_ns": stat.st_ctime_ns}
    assert stat_key("file", os.stat_result(fields, times), now) != stat_key("file", os.stat_result(stat, times), now)


@pytest.mark.parametrize("time", ["st_mtime_ns", "st_ctime_ns"])
def test_each_of_the_times_counts(stat: os.stat_result, time: str) -> None:
    now = stat.st_ctime_ns + 10**12
    times = {"st_mtime_ns": stat.st_mtime_ns, "st_ctime_ns": stat.st_ctime_ns}
    other = os.stat_result(stat, {**times, time: times[time] - 1})
    assert stat_key("file", other, now) != stat_key("file", os.stat_result(stat, times), now)


def test_the_place_counts(stat: os.stat_result) -> None:
    now = stat.st_ctime_ns + 10**12
    assert stat_key("file", stat, now) != stat_key("copy", stat, now)


def test_memory_survives_in_its_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.jsonl")
    memory.update({"key": ["digest", 3]})
    memory.save()
    assert Memory(tmp_path / "memory.jsonl").get("key") == ["digest", 3]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "memory.jsonl").write_bytes(content)
    assert Memory(tmp_path / "memory.jsonl").get("key") is None


def test_a_line_cut_short_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    for key in ("first", "second", "third"):
        memory = Memory(path)
        memory.update({key: key})
        memory.save()
        if key == "second":
            path.write_bytes(path.read_bytes()[:-3])
    memory = Memory(path)
    assert [memory.get(key) for key in ("first", "second", "third")] == ["first", None, "third"]


def test_remembering_a_little_writes_a_little(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.jsonl")
    memory.update({str(number): number for number in range(1000)})
    memory.save()
    before = (tmp_path / "memory.jsonl").stat().st_size
    memory.update({"one more": 1})
    memory.save()
    assert (tmp_path / "memory.jsonl").stat().st_size - before < 30


def test_what_was_forgotten_leaves_the_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.jsonl")
    memory.update({"old": 1})
    memory.save()
    memory.clear()
    memory.update({"new": 2})
    memory.save()
    again = Memory(tmp_path / "memory.jsonl")
    assert (again.get("old"), again.get("new")) == (None, 2)


def test_a_full_memory_forgets_the_oldest_half() -> None:
    memory = Memory(limit=4)
    for number in range(5):
        memory.update({str(number): number})
    assert [memory.get(str(number)) for number in range(5)] == [None, None, None, 3, 4]
