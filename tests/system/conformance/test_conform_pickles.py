"""Objects written and read back."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_pickle_roundtrip(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pickle_plain_name_stream(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_dill_roundtrip(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_dill_function_recurse(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_cloudpickle_roundtrip(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_copy_deepcopy(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
