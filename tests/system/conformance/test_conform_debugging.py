"""What a person sees of a version: its log, its errors, and what a breakpoint does."""

from __future__ import annotations

from pathlib import Path

import pytest
from two_versions import Both

from hotswap.errors import NotPlainError, ProcessError, RemoteError

pytestmark = pytest.mark.system


def test_log_lines_name_the_version_and_the_logger(both: Both) -> None:
    for version in both.versions:
        (line,) = version.run("conform.debugging:logged", "say")
        assert line.endswith(f" INFO [{version.snapshot[:12]}] conform.debugging: something")


def test_what_is_printed_is_in_the_log_at_once(both: Both) -> None:
    assert both.run("conform.debugging:logged", "show") == [["printed by v1"], ["printed by v2"]]


def test_what_was_printed_last_is_in_the_log_when_the_process_ends(both: Both) -> None:
    with both.another() as version:
        log = Path(version.run("conform.debugging:show_unfinished"))
    assert log.read_text().endswith("unfinished in v1")


def test_an_error_in_a_thread_is_logged_with_the_version_and_the_frozen_source(both: Both) -> None:
    for version, word in zip(both.versions, ("v1", "v2"), strict=True):
        lines = version.run("conform.debugging:logged", "fail_in_thread")
        assert f'    raise ValueError("of {word}")  # this line is of {word}' in lines
        assert any(f'/{version.snapshot}/conform/debugging.py", line ' in line for line in lines)


def test_an_error_comes_back_with_its_traceback(both: Both) -> None:
    for version, word in zip(both.versions, ("v1", "v2"), strict=True):
        with pytest.raises(RemoteError) as caught:
            version.run("conform.debugging:fail")
        assert (caught.value.kind, str(caught.value)) == ("ValueError", f"of {word}")
        told = str(caught.value.detail["traceback"])
        assert told.startswith("Traceback (most recent call last):\n  File ")
        assert f'{version.snapshot}/conform/debugging.py", line ' in told
        assert f"# this line is of {word}" in told
        assert "hotswap/process" not in told
        assert caught.value.__notes__ == [f"In version {version.snapshot[:12]}:\n{told}"]


def test_code_that_exits_does_not_end_its_version(both: Both) -> None:
    version = both.versions[0]
    with pytest.raises(RemoteError) as caught:
        version.run("conform.debugging:leave")
    assert (caught.value.kind, str(caught.value)) == ("SystemExit", "enough")
    assert version.run("conform.parts.value:word") == "v1"


def test_a_version_that_dies_is_named_and_comes_back(both: Both) -> None:
    version = both.versions[1]
    with pytest.raises(ProcessError, match=f"version {version.snapshot[:12]} died while it ran conform.debugging:die"):
        version.run("conform.debugging:die")
    assert version.run("conform.parts.value:word") == "v2"


def test_only_plain_data_go_in_and_come_out(both: Both) -> None:
    version = both.versions[0]
    assert version.run("conform.debugging:give", "tuple") == [1, "two"]
    assert version.run("conform.debugging:take", (1,), second={"a": None}) == [[1], {"a": None}]
    with pytest.raises(NotPlainError, match=r"^What conform.debugging:give returned is of the type set, which"):
        version.run("conform.debugging:give", "set")
    with pytest.raises(NotPlainError, match=r"give returned, at \['a'\]\[0\], is of the type object"):
        version.run("conform.debugging:give", "nested")
    with pytest.raises(NotPlainError, match=r"take is given, at \['second'\], is of the type complex"):
        version.run("conform.debugging:take", 1, second=2j)


def test_a_breakpoint_where_nobody_sits_is_logged_and_passed(both: Both) -> None:
    for version in both.versions:
        (line,) = version.run("conform.debugging:logged", "stop")
        assert f"WARNING [{version.snapshot[:12]}] hotswap.process.surroundings: breakpoint() in " in line
        assert f"{version.snapshot}/conform/debugging.py, line " in line
        assert "name a debugger that listens on a port in PYTHONBREAKPOINT" in line


def test_a_breakpoint_starts_the_debugger_that_is_named_for_it(both: Both) -> None:
    named = "conform.debugging.debugger"
    assert both.run("conform.debugging:stop_in_debugger", named) == ["stopped in v1", "stopped in v2"]
    assert both.run("conform.debugging:stop_in_debugger", "0") == [None, None]


def test_processes_are_made_in_the_way_they_are_said_to_be(both: Both) -> None:
    program = {"forked": "hotswap.process.zygote", "spawned": "hotswap.process.spawned"}[both.way]
    assert all(program in line for line in both.run("conform.debugging:command_line"))
