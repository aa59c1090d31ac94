"""Data files, the contents of packages, namespace packages, metadata."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_resources_plain_name(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_resources_package_obj(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_data_via_file(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pkgutil_get_data_plain(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pkgutil_walk_attr(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pkgutil_walk_literal(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pkgutil_iter_literal(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pkgutil_resolve_name(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_ns_subpackage(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_ns_toplevel(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_metadata_version_dist(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_metadata_version_package(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
