"""Processes that a version starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from two_versions import Both

pytestmark = pytest.mark.system


def test_mp_spawn_process(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_mp_pool_spawn(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_mp_fork_process(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_main_guard(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_runpy_module(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_subprocess_dash_m(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


# ---- beyond the list -------------------------------------------------------------------------------------------------


def test_mp_forkserver_process(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_mp_default_method(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_executor_spawn(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_executor_fork(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_executor_forkserver(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


def test_executor_grandchild(told: list[Any]) -> None:
    assert told == ["v1", "v2"]


@pytest.fixture
def working_tree(tmp_path: Path) -> Path:
    """A folder with another copy of the package in it, and a program beside that."""
    package = tmp_path / "conform"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "program.py").write_text("VERSION = 'the working tree'\nprint(VERSION, end='')\n")
    (tmp_path / "run.py").write_text("from conform import program\n\nprint(program.VERSION, end='')\n")
    return tmp_path


def test_a_module_run_in_a_working_tree_is_of_the_version(both: Both, working_tree: Path) -> None:
    assert both.run("conform.children:dash_m_elsewhere", str(working_tree)) == ["v1", "v2"]


def test_a_program_in_a_working_tree_imports_the_version(both: Both, working_tree: Path) -> None:
    assert both.run("conform.children:script_elsewhere", str(working_tree / "run.py")) == ["v1", "v2"]


def test_children_do_not_import_the_program_of_the_runtime(both: Both) -> None:
    assert both.run("conform.children:runtime_in_child") == [[], []]
