"""Installed libraries that the package registers with."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_thirdparty_import_same_stack(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_thirdparty_import_own_thread(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_dramatiq_actor(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_subclasses_of_thirdparty(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_thirdparty_name_registry(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
