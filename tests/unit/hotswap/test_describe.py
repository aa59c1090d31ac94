"""What is imported of a package before processes are made of it, and what is said when that fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotswap.describe import import_package
from hotswap.errors import DescribeError

Load = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a package of these files as a template does; returns the names of its modules."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def _load(files: dict[str, str]) -> list[str]:
        for name, text in files.items():
            path = tmp_path / "described" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return import_package("described", tmp_path)

    yield _load
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "described":
            del sys.modules[name]


def test_every_module_is_imported(load: Load) -> None:
    files = {"__init__.py": "", "a.py": "", "deep/__init__.py": "", "deep/er/__init__.py": "", "deep/er/b.py": ""}
    names = load(files)
    assert sorted(names) == ["described", "described.a", "described.deep", "described.deep.er", "described.deep.er.b"]
    assert set(names) <= set(sys.modules)


def test_tests_and_programs_are_not_imported(load: Load) -> None:
    stop = "raise RuntimeError('imported')"
    files = {"__init__.py": "", "__main__.py": stop, "tests/__init__.py": stop, "deep/__init__.py": ""}
    assert load(files | {"deep/tests/__init__.py": stop}) == ["described", "described.deep"]


def test_tests_that_a_module_imports_from_are_not_imported_whole(load: Load) -> None:
    files = {"__init__.py": "from described.tests import helper", "tests/__init__.py": "", "tests/helper.py": ""}
    assert load(files | {"tests/test_a.py": "raise RuntimeError('imported')"}) == ["described"]


def test_a_folder_without_init_counts_once_something_imports_from_it(load: Load) -> None:
    files = {"__init__.py": "from described.used import a", "used/a.py": "", "used/b.py": "", "used/deep/c.py": ""}
    names = load(files | {"scripts/run.py": "raise RuntimeError('imported')"})
    assert sorted(names) == ["described", "described.used.a", "described.used.b"]


def test_a_package_without_init_is_imported_whole(load: Load) -> None:
    assert sorted(load({"a.py": "", "b.py": ""})) == ["described", "described.a", "described.b"]


def test_parts_of_a_namespace_package_that_lie_elsewhere_are_not_imported(
    load: Load, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "described"
    elsewhere.mkdir()
    (elsewhere / "c.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(elsewhere.parent))
    assert "described.c" not in load({"a.py": ""})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(:\n", "described does not import: SyntaxError in described/a.py, line 1: invalid syntax."),
        ("\n1 / 0\n", "described does not import: ZeroDivisionError in described/a.py, line 2: division by zero."),
        ("raise ValueError('Why.')", "described does not import: ValueError in described/a.py, line 1: Why."),
        ("raise ValueError", "described does not import: ValueError in described/a.py, line 1: no reason given."),
        ("raise SystemExit(3)", "described does not import: SystemExit in described/a.py, line 1: 3."),
        (
            "raise ValueError('One\\n  two.')",
            "described does not import: ValueError in described/a.py, line 1: One two.",
        ),
        (
            "\n1\0",
            "described does not import: SyntaxError in described/a.py, line 2: "
            "source code string cannot contain null bytes.",
        ),
        (
            "from described import b",
            "described does not import: ImportError in described/a.py, line 1: "
            "cannot import name 'b' from 'described' (described/__init__.py).",
        ),
    ],
)
def test_what_does_not_import_is_told_with_file_and_line(load: Load, text: str, told: str) -> None:
    with pytest.raises(DescribeError) as caught:
        load({"__init__.py": "", "a.py": text})
    assert str(caught.value) == told
    assert caught.value.path == "described/a.py"
