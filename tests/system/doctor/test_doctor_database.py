"""What the doctor says of clocks, of the version of the documents, and of the environment of current code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from distributions import Site, make_package
from pymongo.database import Database

from hotswap.generations import Generations
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.doctor import Report
from lab.doctor._code import check_environment
from lab.doctor._database import check_clock, check_schema
from lab.migrations import CURRENT
from lab.records import Records

pytestmark = pytest.mark.system


def found(report: Report) -> list[str]:
    return [finding.what for finding in report.findings]


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database.with_options(database.codec_options.with_options(tz_aware=True)))


def test_clocks_that_agree_are_told_of(records: Records) -> None:
    records.log("device.released", "oven")
    check_clock(report := Report(), records)
    assert (report.facts, report.findings) == ([("clock", "this machine and the database agree")], [])


@pytest.mark.parametrize("apart", [timedelta(seconds=9), timedelta(seconds=-9)])
def test_clocks_apart_are_found(records: Records, monkeypatch: pytest.MonkeyPatch, apart: timedelta) -> None:
    monkeypatch.setattr("lab.doctor._database._time_of", lambda _: datetime.now(UTC) + apart)
    check_clock(report := Report(), records)
    assert found(report) == ["the clocks of this machine and of the database are 9 s apart"]


def test_an_event_of_the_future_is_found(records: Records) -> None:
    records.database["events"].insert_one({"at": datetime.now(UTC) + timedelta(seconds=100.4)})
    check_clock(report := Report(), records)
    assert found(report) == ["the newest event was written 100 s in the future: the clock has gone back"]


def test_documents_of_this_version_are_told_of(database: Database[dict[str, Any]]) -> None:
    database["meta"].insert_one({"_id": "schema", "version": CURRENT})
    check_schema(report := Report(), database)
    assert (report.facts, report.findings) == ([("database", f"the documents are of version {CURRENT}")], [])


def test_documents_of_an_older_version_are_no_finding(database: Database[dict[str, Any]]) -> None:
    database["meta"].insert_one({"_id": "schema", "version": CURRENT - 1})
    check_schema(report := Report(), database)
    told = f"the documents are of version {CURRENT - 1}, and become version {CURRENT} at the next launch"
    assert (report.facts, report.findings) == ([("database", told)], [])


def test_documents_of_a_later_version_are_found(database: Database[dict[str, Any]]) -> None:
    database["meta"].insert_one({"_id": "schema", "version": CURRENT + 1})
    check_schema(report := Report(), database)
    (finding,) = found(report)
    assert f"has documents of version {CURRENT + 1}" in finding


def test_another_environment_than_that_of_current_code_is_found(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, site = Store(tmp_path / "store"), Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    site.install("library", "1.0")
    package = make_package(tmp_path / "app", {"__init__.py": "import library\n"})
    snapshot = store.freeze(TreeSource(package)).id
    Generations(records.database).promote(
        snapshot, expected=None, commit=None, dirty=True, environment="e", actor="test", reason=""
    )
    check_environment(well := Report(), records, store)
    site.install("library", "2.0")
    check_environment(report := Report(), records, store)
    told = [("versions", f"generation 1 is current, code version {snapshot[:12]}")]
    assert (well.facts, well.findings) == (told, [])
    assert found(report) == ["other distributions are installed than current code was frozen with: library 1.0 -> 2.0"]
