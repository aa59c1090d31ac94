"""Native code inside the package, compiled here."""

from __future__ import annotations

from typing import Any

import pytest
from tools import skipped_if
from two_versions import why_not_compiled

pytestmark = [pytest.mark.system, skipped_if(why_not_compiled())]


def test_multi_phase_module(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_single_phase_module(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_type_pickle(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_imports_plain(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_imports_level(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
