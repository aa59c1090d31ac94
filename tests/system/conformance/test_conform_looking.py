"""Code that looks at code: sources, tracebacks, logging, warnings, mocks."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_inspect_source(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_traceback_source(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_logging_plain_hierarchy(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_logging_name_display(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_logging_dictconfig_path(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_warnings_filter_module(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_mock_patch_string(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_mock_patch_builtins(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
