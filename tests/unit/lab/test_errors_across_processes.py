"""Exceptions of drivers and what is left of them in the task."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotswap.errors import RemoteError
from lab.drivers._faults import CallFailed, rebuild
from lab.errors import DeviceError, FenceError
from lab.tracebacks import relative_traceback, sentence

TREE = Path(__file__).parent


class LimitError(Exception):
    def __init__(self, limit: int, *, unit: str) -> None:
        super().__init__(f"over {limit} {unit}")
        self.limit = limit
        self.handle = object()
        self.cause = None


@pytest.fixture
def package() -> Iterator[types.ModuleType]:
    """A lab package that defines ``LimitError`` and other things."""
    module = types.ModuleType("some_lab")
    module.LimitError = LimitError  # type: ignore[attr-defined]
    module.Exit = SystemExit  # type: ignore[attr-defined]
    module.function = len  # type: ignore[attr-defined]
    sys.modules["some_lab"] = module
    yield module
    del sys.modules["some_lab"]


def travel(error: BaseException, package: str = "some_lab", **changes: Any) -> Exception:
    failed = CallFailed(error, TREE)
    detail = {**failed.wire_detail(), **changes}
    return rebuild(RemoteError(str(failed), "CallFailed", detail), "furnace.heat", package)


def test_a_class_of_the_lab_package_keeps_its_text_and_its_plain_attributes(package: types.ModuleType) -> None:
    error = travel(LimitError(900, unit="C"), module="some_lab", qualname="LimitError")
    assert isinstance(error, LimitError)
    assert (str(error), error.limit, error.cause) == ("over 900 C", 900, None)
    assert not hasattr(error, "handle")


@pytest.mark.parametrize(
    "error",
    [ValueError("no", 3), KeyError("slot"), FileNotFoundError(2, "gone"), TimeoutError(), DeviceError("jammed")],
)
def test_a_class_everybody_knows_is_kept(error: Exception) -> None:
    arrived = travel(error)
    assert (type(arrived), arrived.args, str(arrived)) == (type(error), error.args, str(error))


@pytest.mark.parametrize(
    "changes",
    [
        {"module": "subprocess", "qualname": "CalledProcessError"},
        {"module": "some_lab", "qualname": "function"},
        {"module": "some_lab", "qualname": "Exit"},
        {"module": "some_lab", "qualname": "Missing"},
        {"module": "some_lab.gone", "qualname": "LimitError"},
        {"module": "builtins", "qualname": "eval"},
        {"args": None},
    ],
)
def test_anything_else_is_a_device_error(package: types.ModuleType, changes: dict[str, Any]) -> None:
    error = travel(LimitError(900, unit="C"), **changes)
    assert type(error) is DeviceError
    assert "furnace.heat raised" in str(error) and "over 900 C" in str(error)


def test_another_lab_package_is_not_imported(package: types.ModuleType) -> None:
    error = travel(LimitError(900, unit="C"), "other_lab", module="some_lab", qualname="LimitError")
    assert type(error) is DeviceError


def test_the_end_of_a_driver_function_by_exit_is_a_device_error() -> None:
    assert type(travel(SystemExit(3))) is DeviceError


def test_a_refused_fence_is_a_fence_error() -> None:
    assert type(rebuild(RemoteError("refused", "FenceError"), "furnace.heat", "some_lab")) is FenceError


def test_a_fault_of_the_driver_process_itself_is_a_device_error() -> None:
    error = rebuild(RemoteError("no such operation", "WireError"), "furnace.heat", "some_lab")
    assert str(error) == "furnace.heat failed in the driver process: no such operation"


def test_the_remote_traceback_goes_along_as_a_note(package: types.ModuleType) -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        (note,) = travel(error).__notes__
    assert note.startswith("Raised by furnace.heat in its driver process:")
    assert f'File "{Path(__file__).name}"' in note


def raised() -> Exception:
    try:
        raise ValueError("too hot\nby far")
    except ValueError as error:
        return error


def test_the_sentence_ends_with_the_place_inside_the_tree() -> None:
    line = raised.__code__.co_firstlineno + 2
    assert sentence(raised(), TREE) == f"ValueError: too hot ({Path(__file__).name}:{line})"


def test_the_sentence_names_no_place_outside_the_tree() -> None:
    assert sentence(raised(), TREE / "elsewhere") == "ValueError: too hot"


def test_an_error_without_text_still_makes_a_sentence() -> None:
    assert sentence(ValueError(), TREE) == "ValueError: it gave no reason"


def test_an_endless_traceback_is_cut_in_the_middle() -> None:
    text = relative_traceback(ValueError("x" * 100_000), TREE)
    assert len(text) < 9_000
    assert "[...]" in text


def test_the_causes_of_an_error_are_relative_too() -> None:
    try:
        raise KeyError("a") from raised()
    except KeyError as error:
        text = relative_traceback(error, TREE)
    assert str(TREE) not in text
    assert text.count(f'File "{Path(__file__).name}"') == 2
