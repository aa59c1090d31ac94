"""What the doctor passes on of what a lab has found wrong by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from lab.doctor import Report
from lab.doctor._trouble import check_trouble
from lab.records import Records

pytestmark = pytest.mark.system


def found(database: Database[dict[str, Any]]) -> list[str]:
    check_trouble(report := Report(), Records(database))
    return [finding.what for finding in report.findings]


def test_devices_in_error_are_named_with_the_first_line_of_why(database: Database[dict[str, Any]]) -> None:
    database["devices"].insert_many(
        [
            {"_id": "arm", "state": "free", "error": None},
            {"_id": "oven", "state": "error", "error": "No answer at /dev/ttyS0.\nTraceback"},
            {"_id": "xrd", "state": "error", "error": None},
        ]
    )
    assert found(database) == ["oven is in error: No answer at /dev/ttyS0.", "xrd is in error: it did not tell why"]


def test_workers_that_give_no_sign_of_life_are_named(database: Database[dict[str, Any]]) -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    database["workers"].insert_many(
        [
            {"_id": "lively", "unreachable": None},
            {"_id": "silent", "unreachable": {"since": since, "beat": 7}},
        ]
    )
    assert found(database) == ["silent gives no sign of life since 2026-01-02 03:04:05 UTC"]
