"""Imports that modules make while they are imported."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_relative_import(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_abs_from_import(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_as(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_dotted(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_import_in_class_body_and_global(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_circular(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_star_import(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_sys_modules_name(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_sys_modules_literal(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_type_checking(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pep562_lazy(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_optional_import_error(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_optional_import_error_loose(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_name_split_root(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_find_spec_plain(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_reload_module(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_isinstance_across_modules(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
