"""What may leave a process, and what a task may return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import bson
import pytest
from bson import Int64
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from lab.plain import to_plain, to_record


class Model(BaseModel):
    temperature: float
    when: date


@dataclass
class Point:
    x: int
    inner: Any = None


class Colour(Enum):
    RED = "red"


class Odd(Enum):
    FOLDER = PurePosixPath("a/b")
    BOTH = frozenset({2, 1})
    COLOUR = Colour.RED


def numpy_like(value: Any) -> Any:
    """What NumPy's arrays and scalars look like from outside; the laboratory does not depend on NumPy."""
    return type("ndarray", (), {"__module__": "numpy", "tolist": lambda _self: value})()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda key: "\0" not in key), inner),
    max_leaves=20,
)


@given(values)
def test_plain_data_arrives_as_it_was(value: Any) -> None:
    sent = bson.encode({"value": to_plain(value, "it")})
    assert bson.decode(sent, CodecOptions(tz_aware=True))["value"] == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2,)), [1, [2]]),
        (numpy_like(1.5), 1.5),
        (numpy_like([[1.0, 0.0], [0.0, 1.0]]), [[1.0, 0.0], [0.0, 1.0]]),
        (Colour.RED, "red"),
        ({"a": numpy_like([1])}, {"a": [1]}),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (Int64(2**40), 2**40),
    ],
)
def test_what_is_nearly_plain_becomes_plain(value: Any, plain: Any) -> None:
    converted = to_plain(value, "it")
    assert converted == plain
    assert type(converted) is type(plain)


@pytest.mark.parametrize("value", [object(), {1, 2}, Point(1), Model(temperature=1, when=date.min), 1j, len])
def test_calls_take_nothing_else(value: Any) -> None:
    with pytest.raises(TypeError, match=r"Argument 1 of f\.heat\['x'\]\[0\] is a "):
        to_plain({"x": [value]}, "Argument 1 of f.heat")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integers_that_do_not_fit_are_refused(value: int) -> None:
    with pytest.raises(TypeError, match="does not fit 64 bits"):
        to_plain(value, "it")


@pytest.mark.parametrize("key", [1, None, ("a",), "a\0b"])
def test_keys_are_text(key: Any) -> None:
    with pytest.raises(TypeError, match="has the key"):
        to_plain({key: 1}, "it")


def test_a_structure_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="levels deep"):
        to_plain(endless, "it")


@pytest.mark.parametrize(
    ("value", "record"),
    [
        (Model(temperature=20, when=date(2026, 1, 2)), {"temperature": 20.0, "when": "2026-01-02"}),
        (Point(1, Point(2)), {"x": 1, "inner": {"x": 2, "inner": None}}),
        ({3, 1, 2}, [1, 2, 3]),
        (PurePosixPath("a/b"), "a/b"),
        (timedelta(minutes=1), 60.0),
        (bson.ObjectId("0" * 24), "0" * 24),
        ({1: "a", 2.5: "b"}, {"1": "a", "2.5": "b"}),
        ([numpy_like(0.5)], [0.5]),
        (RootModel[set[int]]({2, 1}), [1, 2]),
        ([Odd.FOLDER, Odd.BOTH, Odd.COLOUR], ["a/b", [1, 2], "red"]),
        ({Odd.FOLDER: Odd.BOTH}, {"a/b": [1, 2]}),
        (numpy_like(Colour.RED), "red"),
    ],
)
def test_results_may_be_richer(value: Any, record: Any) -> None:
    assert to_record(value, "The result") == record


@pytest.mark.parametrize("keys", [(1, "1"), (Colour.RED, "red"), (1.0, "1.0")])
def test_keys_that_become_the_same_text_are_refused(keys: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError, match=r"The result\['a'\] has two keys that become '.*'; give each"):
        to_record({"a": dict.fromkeys(keys, 0)}, "The result")


def test_an_extended_number_that_reduces_to_its_own_kind_is_refused() -> None:
    class Longdouble:
        __module__ = "numpy"

        def tolist(self) -> Longdouble:
            return Longdouble()

    with pytest.raises(TypeError, match="The result is a numpy"):
        to_record(Longdouble(), "The result")


def test_a_result_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match=r"The result\['curve'\] is a builtins\.object"):
        to_record({"curve": object()}, "The result")
