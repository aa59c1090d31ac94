"""What the fixture ``versions`` compares, with versions that are played by objects."""

from __future__ import annotations

import asyncio
import math
import pkgutil
import subprocess
import sys
from typing import Any, cast

import pytest

from hotswap.errors import RemoteError, SourceError
from hotswap.process import calls
from hotswap.testing import Running, Versions
from hotswap.versions import Version


class Played:
    """A version whose every function returns, or raises, the same."""

    def __init__(self, snapshot: str, outcome: Any) -> None:
        self.snapshot = snapshot
        self._outcome = outcome

    def run(self, function: str, /, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def versions(*outcomes: Any) -> Versions:
    played = [Played(str(number) * 64, outcome) for number, outcome in enumerate(outcomes)]
    return Versions(tuple(Running(f"v{one.snapshot[0]}", cast(Version, one)) for one in played))


def told(*outcomes: Any, **tolerance: float) -> list[str]:
    with pytest.raises(AssertionError) as found:
        versions(*outcomes).within(**tolerance).same("app:f")
    return str(found.value).splitlines()


PLAIN = {"peaks": [{"at": 1, "height": 0.5}], "name": "xrd", "raw": b"\0", "ok": True, "none": None}


def test_versions_that_return_the_same_give_it_to_the_test() -> None:
    assert versions(PLAIN, PLAIN, PLAIN).same("app:f") == PLAIN


def test_a_difference_is_told_with_both_versions_and_its_place() -> None:
    changed = {**PLAIN, "peaks": [{"at": 1, "height": 0.75}]}
    assert told(PLAIN, changed) == [
        "app:f is not the same in v0 (000000000000) and v1 (111111111111):",
        "  ['peaks'][0]['height']: 0.5 -> 0.75 (by 0.25)",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (1, 2, "the result: 1 -> 2 (by 1)"),
        ("a", "b", "the result: 'a' -> 'b'"),
        (True, 1, "the result: True -> 1"),
        (None, 0, "the result: None -> 0"),
        (b"a", "a", "the result: b'a' -> 'a'"),
        ([1], {"a": 1}, "the result: [1] -> {'a': 1}"),
        ([1, 2], [1], "the result: 2 items -> 1 items"),
        ({"a": [1]}, {"a": [1, 2]}, "['a']: 1 items -> 2 items"),
        ({"a": 1}, {}, "['a']: gone, was 1"),
        ({}, {"a": 1}, "['a']: new, 1"),
        (1.0, math.nan, "the result: 1.0 -> nan (by nan)"),
    ],
)
def test_every_kind_of_difference_is_told(old: Any, new: Any, line: str) -> None:
    assert told(old, new)[1:] == [f"  {line}"]


def test_all_versions_are_compared_with_the_first() -> None:
    assert told(1, 1, 2)[0] == "app:f is not the same in v0 (000000000000) and v2 (222222222222):"


def test_many_differences_are_cut_short() -> None:
    lines = told(list(range(30)), list(range(1, 31)))
    assert (len(lines), lines[-1]) == (12, "  ... and 20 more differences")


@pytest.mark.parametrize(("old", "new"), [(1, 1.0), (math.nan, math.nan), (math.inf, math.inf), (0.0, -0.0)])
def test_numbers_of_one_value_are_the_same(old: float, new: float) -> None:
    versions([old], [new]).same("app:f")


@pytest.mark.parametrize(("new", "tolerance"), [(100.1, {"rel": 1e-2}), (100.1, {"abs": 0.2}), (99.9, {"abs": 0.11})])
def test_floats_within_the_tolerance_are_the_same(new: float, tolerance: dict[str, float]) -> None:
    versions({"a": 100.0}, {"a": new}).within(**tolerance).same("app:f")


def test_floats_beyond_the_tolerance_and_integers_are_not() -> None:
    assert told(100.0, 102.0, rel=1e-2)[1:] == ["  the result: 100.0 -> 102.0 (by 2)"]
    assert told(100, 101, rel=1)[1:] == ["  the result: 100 -> 101 (by 1)"]


def test_a_version_that_raises_is_different_from_one_that_returns() -> None:
    assert told(1, RemoteError("no peak", "ValueError"))[1:] == ["  1 -> raises ValueError: no peak"]
    assert told(RemoteError("no peak", "ValueError"), RemoteError("no peak", "KeyError"))[1:] == [
        "  raises ValueError: no peak -> raises KeyError: no peak"
    ]


def test_what_all_versions_raise_is_raised_to_the_test() -> None:
    error = RemoteError("no peak", "ValueError")
    with pytest.raises(RemoteError, match="no peak"):
        versions(error, RemoteError("no peak", "ValueError")).same("app:f")


def test_versions_are_unpacked_in_the_order_they_were_named() -> None:
    both = versions(1, 2)
    old, new = both
    assert (old.rev, new.run("app:f"), both[1].rev, len(both), str(old)) == ("v0", 2, "v1", 2, "v0 (000000000000)")


def test_loading_the_plugin_loads_nothing_else_of_hotswap() -> None:
    code = "import sys, pytest; known = set(sys.modules); import hotswap.testing; print(*set(sys.modules) - known)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in run.stdout.split() if name.startswith("hotswap")} == {"hotswap", "hotswap.testing"}


def test_without_any_revision_there_is_one_sentence() -> None:
    with pytest.raises(SourceError, match="No revision is named to run app:f in"):
        versions().same("app:f")


def _raise(kind: type[BaseException]) -> None:
    raise kind("enough")


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, pytest.skip.Exception])
def test_whatever_a_function_raises_is_told(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    monkeypatch.setattr(pkgutil, "resolve_name", lambda _: lambda: _raise(kind))
    assert calls.run("app:f", [], {})["raised"]["kind"] == kind.__name__


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError("no file \udcff"), r"no file \udcff"),
        (_UnspeakableError(), "its text cannot be shown, as that raises RuntimeError"),
    ],
)
def test_an_error_is_told_though_its_text_cannot_travel(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(pkgutil, "resolve_name", lambda _: fail)
    raised = calls.run("app:f", [], {})["raised"]
    assert (raised["kind"], raised["message"]) == (type(error).__name__, message)
    assert raised["traceback"].encode()


def test_what_is_no_function_is_refused_by_name() -> None:
    raised = calls.run("os:sep", [], {})["raised"]
    assert raised["message"] == "'os:sep' names no function: write it as package.module:function."
