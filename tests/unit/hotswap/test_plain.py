"""What leaves a version is plain, or refused with its type and place."""

from __future__ import annotations

import enum
from collections import namedtuple
from datetime import date
from types import SimpleNamespace
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap._plain import to_plain
from hotswap.errors import NotPlainError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
PLAIN = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


@given(PLAIN)
def test_plain_data_arrive_as_they_are(value: Any) -> None:
    assert bson.decode(bson.encode({"value": to_plain(value, "It")})) == {"value": value}


class Colour(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "plain"),
    [((1, (2,)), [1, [2]]), (Colour.RED, "red"), (Number.ONE, 1), (Pair(1, 2), [1, 2]), ({Colour.RED: 1}, {"red": 1})],
)
def test_subtypes_arrive_as_the_type_itself(value: Any, plain: Any) -> None:
    got = to_plain(value, "It")
    assert (got, type(got)) == (plain, type(plain))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({1, 2}, "It is of the type set, which is not plain data: use None"),
        ({"a": [0, SimpleNamespace()]}, "It, at ['a'][1], is of the type types.SimpleNamespace, which"),
        (date(2024, 5, 1), "It is of the type datetime.date, which is not plain data; its isoformat() may be: use"),
        ({"a": {1: 2}}, "It, at ['a'], has a key of the type int, 1: use"),
        ({"a\0b": 2}, "It has a key of the type str, 'a\\x00b': use"),
        ([2**63], "It, at [0], is an integer of more than 64 bits: pass it as text."),
        (["\ud800"], "It, at [0], is text that UTF-8 cannot express: '\\ud800'."),
        ((each for each in "abc"), "It is of the type generator"),
    ],
)
def test_anything_else_is_refused_with_its_type_and_place(value: Any, told: str) -> None:
    with pytest.raises(NotPlainError) as caught:
        to_plain(value, "It")
    assert str(caught.value).startswith(told)


def test_what_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotPlainError, match="or holds itself"):
        to_plain(value, "It")
