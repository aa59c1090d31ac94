"""Native code inside the package."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_cext_multiphase(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_cext_singlephase(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_cext_singlephase_type_pickle(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_cext_imports_plain(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_cext_imports_level(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
