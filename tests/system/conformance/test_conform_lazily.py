"""Imports at run time."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_lazy_same_thread(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_lazy_plain_thread(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_lazy_executor_thread(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_timer_later(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_module_abs(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_module_in_thread(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_module_rel(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_module_name_bound(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_dunder_import_call(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_dunder_import_via_builtins(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_exec_eval_strings(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_exec_with_explicit_builtins(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_asyncio_tasks(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_builtins_injected_later(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
