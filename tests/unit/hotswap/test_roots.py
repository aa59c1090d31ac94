"""Which local packages are frozen beside the code that imports them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from distributions import Site, editable, make_package

from hotswap import roots
from hotswap.closure import Closure
from hotswap.environment import Distribution, Environment
from hotswap.errors import SourceError
from hotswap.limits import Limits
from hotswap.snapshot import Snapshot
from hotswap.source import GitSource, TreeSource
from hotswap.store import Store

pytestmark = pytest.mark.system

Freeze = Callable[..., Snapshot]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """All that is installed."""
    folder = Site(tmp_path / "site")
    monkeypatch.setattr(sys, "path", [str(folder.folder)])
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with the package ``my_lab``, which imports ``helper``."""
    folder = make_package(tmp_path / "repo", {"my_lab/__init__.py": "import json\nfrom helper import x\n"})
    git(folder, "init", "--quiet")
    return folder


@pytest.fixture
def freeze(repo: Path, site: Site, tmp_path: Path) -> Freeze:
    """Freeze the working tree, or the newest commit after committing everything."""
    store = Store(tmp_path / "store")

    def do(*, committed: bool = False, **options: object) -> Snapshot:
        if not committed:
            return store.freeze(TreeSource(repo / "my_lab", **options))  # type: ignore[arg-type]
        commit(repo)
        with GitSource(repo, "my_lab", **options) as source:  # type: ignore[arg-type]
            return store.freeze(source)

    return do


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(repo: Path) -> None:
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "all")


def paths(snapshot: Snapshot) -> set[str]:
    return {entry.path for entry in snapshot.files}


LAB = "my_lab/__init__.py"
WAYS = pytest.mark.parametrize("committed", [False, True], ids=["saved", "committed"])


@WAYS
@pytest.mark.parametrize("file", ["helper/__init__.py", "helper.py"])
def test_a_package_or_module_beside_it_is_frozen(repo: Path, freeze: Freeze, file: str, committed: bool) -> None:
    make_package(repo, {file: "x = 1\n", "stranger.py": ""})
    assert paths(freeze(committed=committed)) == {LAB, file}


@WAYS
def test_what_a_local_package_imports_is_frozen_too(repo: Path, freeze: Freeze, committed: bool) -> None:
    make_package(
        repo, {"helper.py": "import deeper\n", "deeper/__init__.py": "import my_lab, deepest\n", "deepest.py": ""}
    )
    assert paths(freeze(committed=committed)) == {LAB, "helper.py", "deeper/__init__.py", "deepest.py"}


@WAYS
def test_the_top_of_the_repository_and_src_are_searched(repo: Path, freeze: Freeze, committed: bool) -> None:
    make_package(repo, {"helper.py": "", "src/deep/__init__.py": "", "labs/other/__init__.py": "import helper, deep\n"})
    commit(repo)
    store = Store(repo.parent / "store")
    source = GitSource(repo, "labs/other") if committed else TreeSource(repo / "labs" / "other")
    assert paths(store.freeze(source)) == {"other/__init__.py", "helper.py", "deep/__init__.py"}


@WAYS
def test_an_editable_distribution_is_frozen_from_its_project(
    repo: Path, site: Site, freeze: Freeze, committed: bool
) -> None:
    make_package(repo, {"libs/h/src/helper/__init__.py": "x = 1\n", "libs/h/src/helper/data.csv": "1"})
    site.install_editable("helper", repo / "libs" / "h", root=repo / "libs" / "h" / "src")
    frozen = freeze(committed=committed)
    assert paths(frozen) == {LAB, "helper/__init__.py", "helper/data.csv"}
    assert frozen.environment.distributions == (Distribution("helper", "1.0"),)


def test_a_module_that_an_import_hook_serves_is_frozen_under_the_name_it_is_imported_by(
    repo: Path, site: Site, freeze: Freeze
) -> None:
    code = make_package(repo / "libs" / "code", {"__init__.py": "x = 1\n"})
    site.install_with_finder("helper", repo / "libs", {"helper": code})
    assert paths(freeze()) == paths(freeze(committed=True)) == {LAB, "helper/__init__.py"}


def test_a_path_install_is_frozen_from_its_copy_and_does_not_make_it_dirty(
    repo: Path, site: Site, freeze: Freeze
) -> None:
    site.install("helper", url={"url": "file:///gone", "dir_info": {}})
    frozen = freeze(committed=True)
    assert paths(frozen) == {LAB, "helper/__init__.py"}
    assert not frozen.origin.dirty


def test_a_copy_in_an_ignored_virtual_environment_is_frozen(
    repo: Path, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    inside = Site(repo / ".venv" / "site-packages")
    monkeypatch.setattr(sys, "path", [str(inside.folder)])
    (repo / ".gitignore").write_text(".venv\n")
    inside.install("helper", url={"url": "file:///gone", "dir_info": {}})
    assert paths(freeze()) == paths(freeze(committed=True)) == {LAB, "helper/__init__.py"}


def test_what_came_from_an_index_is_not_frozen(repo: Path, site: Site, freeze: Freeze) -> None:
    site.install("helper", "2.0")
    frozen = freeze()
    assert paths(frozen) == {LAB}
    assert frozen.environment.distributions == (Distribution("helper", "2.0"),)


@pytest.mark.parametrize("user", ["my_lab", "helper"])
def test_a_plugin_that_a_frozen_distribution_requires_is_frozen(
    repo: Path, site: Site, freeze: Freeze, user: str
) -> None:
    make_package(repo, {"helper.py": "", "plug/plugin/__init__.py": "", "plug/tests/__init__.py": ""})
    site.install_editable("plugin", repo / "plug")
    site.install(user, requires=("plugin", "library"), url=editable(repo), top_level=user)
    site.install("library")
    frozen = freeze()
    assert paths(frozen) == {LAB, "helper.py", "plugin/__init__.py"}
    assert {str(one.name) for one in frozen.environment.distributions} == {user.replace("_", "-"), "plugin", "library"}


def test_parts_of_a_namespace_package_are_frozen_together(repo: Path, site: Site, freeze: Freeze) -> None:
    make_package(repo, {"helper/near.py": "", "helper/notes.txt": "", "src/helper/far/__init__.py": ""})
    assert paths(freeze()) == paths(freeze(committed=True))
    assert paths(freeze()) == {LAB, "helper/near.py", "helper/notes.txt", "helper/far/__init__.py"}


def test_two_parts_of_a_namespace_package_with_the_same_file_are_refused(repo: Path, freeze: Freeze) -> None:
    make_package(repo, {"helper/near.py": "", "src/helper/near.py": ""})
    with pytest.raises(SourceError, match=r"helper/near.py"):
        freeze()


def test_a_folder_of_data_is_not_a_package(repo: Path, freeze: Freeze) -> None:
    make_package(repo, {"helper/table.csv": ""})
    assert paths(freeze()) == {LAB}


def test_a_name_both_beside_and_installed_is_refused(repo: Path, site: Site, freeze: Freeze) -> None:
    make_package(repo, {"helper.py": ""})
    site.install("helper")
    with pytest.raises(SourceError, match=r"imports helper, which is both .*helper.py and installed"):
        freeze()


def test_what_is_not_committed_is_not_frozen_with_a_commit(repo: Path, freeze: Freeze) -> None:
    commit(repo)
    make_package(repo, {"helper.py": ""})
    with GitSource(repo, "my_lab") as source:
        assert paths(Store(repo.parent / "store").freeze(source)) == {LAB}


def test_a_commit_without_the_project_of_an_editable_distribution_is_refused(
    repo: Path, site: Site, freeze: Freeze
) -> None:
    commit(repo)
    make_package(repo, {"libs/helper/__init__.py": ""})
    site.install_editable("helper", repo / "libs")
    with GitSource(repo, "my_lab") as source, pytest.raises(SourceError, match=r"imports helper, .* commit it"):
        Store(repo.parent / "store").freeze(source)
    with GitSource(repo, "my_lab", local=False) as source:
        frozen = Store(repo.parent / "store").freeze(source)
    assert [one.name for one in frozen.environment.distributions if one.digest] == ["helper"]


def test_a_named_package_is_not_searched_for(repo: Path, site: Site, freeze: Freeze) -> None:
    make_package(repo, {"helper.py": "", "old/helper.py": "OLD = 1\n"})
    frozen = freeze(extra=(repo / "old" / "helper.py",))
    assert next(entry.size for entry in frozen.files if entry.path == "helper.py") == len("OLD = 1\n")
    assert frozen.id == freeze(committed=True, extra=("old/helper.py",)).id


def test_nothing_local_is_frozen_where_that_is_not_wanted(repo: Path, freeze: Freeze) -> None:
    make_package(repo, {"helper.py": ""})
    assert paths(freeze(local=False)) == paths(freeze(committed=True, local=False)) == {LAB}


def test_the_runtime_is_never_frozen(repo: Path, monkeypatch: pytest.MonkeyPatch, freeze: Freeze) -> None:
    monkeypatch.undo()
    make_package(repo, {LAB: "import lab, hotswap\n"})
    frozen = Store(repo.parent / "store").freeze(TreeSource(repo / "my_lab"))
    assert paths(frozen) == {LAB}
    assert "hotswap-lab" in {one.name for one in frozen.environment.distributions if one.digest}


def test_the_runtime_is_not_frozen_with_a_local_distribution_that_requires_it(
    repo: Path, site: Site, freeze: Freeze
) -> None:
    make_package(repo, {"helper.py": "", "run/hotswap/__init__.py": "", "run/also_there.py": ""})
    site.install_editable("hotswap-lab", repo / "run")
    site.install("helper", requires=("hotswap-lab",), url=editable(repo), top_level="helper")
    assert paths(freeze()) == {LAB, "helper.py"}


@WAYS
def test_a_package_of_another_repository_makes_it_dirty_unless_it_is_clean(
    repo: Path, site: Site, tmp_path: Path, freeze: Freeze, committed: bool
) -> None:
    other = make_package(tmp_path / "other", {"helper/__init__.py": "x = 1\n"})
    site.install_editable("helper", other)
    commit(repo)
    assert freeze(committed=committed).origin.dirty, "it is in no repository"
    git(other, "init", "--quiet")
    commit(other)
    clean = freeze(committed=committed)
    assert not clean.origin.dirty
    assert clean.origin.commit is not None
    (other / "helper" / "__init__.py").write_text("x = 2\n")
    assert freeze(committed=committed).origin.dirty


def test_a_clean_working_tree_and_its_commit_have_the_same_id(repo: Path, site: Site, freeze: Freeze) -> None:
    make_package(repo, {"libs/helper/__init__.py": "import near\n", "near.py": ""})
    site.install_editable("helper", repo / "libs")
    assert freeze(committed=True).id == freeze().id


def test_a_change_of_a_local_package_changes_the_id_and_not_the_environment(repo: Path, freeze: Freeze) -> None:
    make_package(repo, {"helper.py": "x = 1\n"})
    before = freeze()
    make_package(repo, {"helper.py": "x = 2\n"})
    after = freeze()
    assert before.id != after.id
    assert before.environment == after.environment == Environment(before.python)


def test_a_local_package_that_moves_while_it_is_read_is_refused(repo: Path, site: Site, tmp_path: Path) -> None:
    helper = make_package(repo, {"helper.py": "x = 1\n"}) / "helper.py"
    source = TreeSource(repo / "my_lab")
    source.files()
    assert [file.path for file in source.follow(frozenset({"helper"}))] == ["helper.py"]
    helper.write_text("x = 22\n")
    with pytest.raises(SourceError, match=r"helper.py changed while it was being frozen"):
        source.check()


@WAYS
def test_packages_whose_names_differ_only_in_case_are_refused(repo: Path, freeze: Freeze, committed: bool) -> None:
    make_package(repo, {"helper.py": "import Helper\n", "Helper.py": ""})
    with pytest.raises(SourceError, match=r"differ only in case"):
        freeze(committed=committed)


@WAYS
def test_limits_hold_for_all_packages_together(repo: Path, freeze: Freeze, committed: bool) -> None:
    make_package(repo, {"helper.py": "x = 1\n" * 100})
    with pytest.raises(SourceError, match=r"files to freeze have"):
        freeze(committed=committed, limits=Limits(total_size=600))


@pytest.mark.parametrize("file", ["helper/__init__.py", "helper.py"])
def test_a_class_depends_on_the_local_packages_that_it_uses(
    repo: Path, freeze: Freeze, tmp_path: Path, file: str
) -> None:
    def digest() -> str:
        frozen = freeze()
        tree = tmp_path / "store" / "trees" / frozen.id
        files = {entry.path: entry.digest for entry in frozen.files}
        return Closure(tree, files).verdict("my_lab.oven:Oven").digest

    oven = "from helper import x\n\nclass Oven:\n    def heat(self):\n        return x()\n"
    make_package(repo, {file: "def x():\n    return 1\n", "my_lab/oven.py": oven})
    before = digest()
    make_package(repo, {file: "def x():\n    return 2\n"})
    assert digest() != before


def test_the_search_for_packages_knows_nothing_of_the_sources_that_use_it() -> None:
    nodes = list(ast.walk(ast.parse(Path(roots.__file__).read_text())))
    imported = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert "hotswap.errors" in imported
    assert not [name for name in imported if name.startswith(("hotswap.source", "hotswap.store"))]
