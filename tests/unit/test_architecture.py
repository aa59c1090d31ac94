"""The layers hold, and what is there is written down."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "lab" / "starter"
SOURCES = sorted(
    path for package in ("hotswap", "lab") for path in (ROOT / package).rglob("*.py") if STARTER not in path.parents
)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in SOURCES
}
PACKAGES = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in SOURCES}


def imports(module: str) -> Iterator[str]:
    """Full names of what a module imports from our own packages."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def home(name: str) -> str | None:
    """The package that the first private module in ``name`` belongs to; None when all of it is public."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        if ".".join(parts[:count]) in MODULES and parts[count - 1].startswith("_") and parts[count - 1] != "__main__":
            return ".".join(parts[: count - 1])
    return None


def test_the_contracts_on_imports_hold() -> None:
    """In a process of its own: the linter disables every logger there is."""
    linter = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


def test_private_modules_are_imported_by_their_own_package_only() -> None:
    foreign = [
        f"{module} imports {name}"
        for module in MODULES
        for name in imports(module)
        if (owner := home(name)) is not None and module != owner and not module.startswith(f"{owner}.")
    ]
    assert foreign == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also not for the sake of annotations."""
    graph = {
        module: {base for name in imports(module) if (base := name if name in MODULES else name.rpartition(".")[0])}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_every_module_says_what_it_is() -> None:
    assert [name for name, tree in MODULES.items() if not ast.get_docstring(tree)] == []


@pytest.mark.parametrize("package", ["hotswap", "lab"])
def test_the_architecture_page_tells_of_every_public_module(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    names = {name.split(".")[1] for name in MODULES if name.startswith(f"{package}.")}
    assert [name for name in sorted(names) if not name.startswith("_") and f"`{name}`" not in page] == []


def test_nothing_is_pickled() -> None:
    picklers = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    found = {
        f"{module} imports {name}" for module in MODULES for name in imports(module) if name.split(".")[0] in picklers
    }
    assert found <= {"hotswap.store._bytecode imports marshal"}, (
        "byte-code files are written in this format, never read"
    )


def test_the_embedded_database_is_never_imported() -> None:
    assert not [module for module in MODULES for name in imports(module) if name.startswith("secantus")]


def test_files_and_functions_stay_small() -> None:
    long_files = [path.name for path in SOURCES if len(path.read_text().splitlines()) >= 450]
    long_functions = [
        f"{module}.{node.name}"
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 45
    ]
    assert (long_files, long_functions) == ([], [])
