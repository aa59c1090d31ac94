"""Classes, annotations and names."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system


def test_dataclass_strings(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pydantic_forward(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_type_hints(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_singledispatch_(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_abc_(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_enum_identity(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_dunder_module_plain(told: list[Any]) -> None:
    assert told == [
        [version, "conform.kinds", "conform.kinds", "conform.kinds", "conform.parts.value", "conform.kinds"]
        for version in ("v1", "v2")
    ]


def test_qualname_ok(told: list[Any]) -> None:
    assert told == [["v1", "Holder.Inner.tell"], ["v2", "Holder.Inner.tell"]]


def test_module_state_isolated(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_pydantic_importstring(told: list[Any]) -> None:
    assert told == ["v1", "v2"]
