"""Results, printed, saved and retrieved, also those that are too large for a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from answering import FakeLab, lab
from blake3 import blake3

from lab import LargeResult
from lab.results.large_result import LargeResultError

IMAGE = {"large_result": "r1", "name": "scan.tif", "size": 4, "blake3": blake3(b"\x00\xff\n\r").hexdigest()}


@pytest.fixture
def with_result(running: Path, fake: FakeLab) -> Path:
    fake.answers["GET /api/tasks/t1"] = (
        200,
        {"result": {"peaks": [1.5, 2], "scan": {"image": IMAGE}, "a.b": "dotted"}},
    )
    fake.answers["GET /api/results/r1"] = (200, b"\x00\xff\n\r")
    return running


@pytest.mark.parametrize(
    ("name", "printed"), [("peaks", [1.5, 2]), ("peaks.0", 1.5), ("a.b", "dotted"), ("scan", {"image": IMAGE})]
)
def test_a_part_of_a_result_is_printed_as_json(with_result: Path, name: str, printed: Any) -> None:
    assert json.loads(lab(with_result, "result", "t1", name).stdout) == printed


def test_a_large_result_goes_into_a_pipe_or_a_file_as_it_is(with_result: Path) -> None:
    assert lab(with_result, "result", "t1", "scan.image").stdout_bytes == b"\x00\xff\n\r"
    target = with_result / "image.tif"
    assert "Saved" in lab(with_result, "result", "t1", "scan.image", "-o", str(target)).stdout
    assert target.read_bytes() == b"\x00\xff\n\r"


def test_a_plain_result_is_saved_as_json(with_result: Path) -> None:
    target = with_result / "peaks.json"
    lab(with_result, "result", "t1", "peaks", "-o", str(target))
    assert json.loads(target.read_text()) == [1.5, 2]


def test_a_part_that_is_not_there_is_told_with_those_that_are(with_result: Path) -> None:
    refused = lab(with_result, "result", "t1", "image")
    assert refused.exit_code == 2
    assert refused.stderr == "lab: The result of task t1 has no 'image'; it has peaks, scan, a.b.\n"


def test_what_did_not_arrive_whole_is_not_saved(with_result: Path, fake: FakeLab) -> None:
    fake.answers["GET /api/results/r1"] = (200, b"\x00\xff\n\n")
    target = with_result / "image.tif"
    target.write_text("before")
    refused = lab(with_result, "result", "t1", "scan.image", "-o", str(target))
    assert "did not arrive as it was stored" in refused.stderr
    assert [path.name for path in with_result.glob("*image*")] == ["image.tif"]
    assert target.read_text() == "before"


def test_a_large_result_is_found_from_the_folder_of_the_lab(
    with_result: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(with_result)
    monkeypatch.delenv("LAB_STATE_DIR", raising=False)
    large = LargeResult.of(IMAGE)
    assert large.retrieve() == b"\x00\xff\n\r"
    large.save(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == b"\x00\xff\n\r"


def test_a_file_that_was_closed_too_early_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"1")
    with (tmp_path / "scan").open("rb") as file:
        large = LargeResult.from_file_like_data(file, "scan")
    with pytest.raises(LargeResultError, match=r"large result 'scan' was closed .* give it to update_result first\.$"):
        large.retrieve()


def test_a_large_result_has_a_reference_once_it_is_stored(tmp_path: Path) -> None:
    (tmp_path / "scan.tif").write_bytes(b"\x00\xff\n\r")
    large = LargeResult.from_local_file(tmp_path / "scan.tif")
    assert (large.name, large.reference) == ("scan.tif", None)
    large.stored_as(IMAGE)
    assert large.reference == IMAGE


def test_a_large_result_needs_its_file_and_a_whole_reference(tmp_path: Path) -> None:
    with pytest.raises(LargeResultError, match=r"There is no file .*missing; write it before"):
        LargeResult.from_local_file(tmp_path / "missing")
    with pytest.raises(LargeResultError, match="refers to no large result"):
        LargeResult.of({"large_result": "r1"})
