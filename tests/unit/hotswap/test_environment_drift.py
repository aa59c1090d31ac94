"""Whether code still meets the environment that it was frozen with."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import rich.console
import rich.progress
import rich.table  # noqa: F401 - the commands import these when nothing but the site of a test is on the path
from click.testing import CliRunner, Result
from distributions import Site, editable, make_package

from hotswap import drift
from hotswap.cli import main
from hotswap.compare import compare
from hotswap.environment import EnvironmentChange
from hotswap.errors import DriftError
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """All that is installed: ``library`` 1.0."""
    folder = Site(tmp_path / "site")
    monkeypatch.setattr(sys, "path", [str(folder.folder)])
    folder.install("library", "1.0")
    return folder


@pytest.fixture
def package(tmp_path: Path, site: Site) -> Path:
    return make_package(tmp_path / "repo", {"my_lab/__init__.py": "import library\n"}) / "my_lab"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def frozen(package: Path, store: Store) -> Snapshot:
    return store.freeze(TreeSource(package))


UPGRADE = EnvironmentChange("library", "1.0", "2.0")


def test_there_is_no_drift_where_it_was_frozen(frozen: Snapshot, store: Store) -> None:
    assert drift.drift(store, frozen) == ()
    assert drift.check(store, frozen, strict=True) == ()


def test_an_upgrade_between_two_freezes_changes_the_id_and_the_difference_names_it(
    frozen: Snapshot, package: Path, store: Store, site: Site
) -> None:
    site.install("library", "2.0")
    after = store.freeze(TreeSource(package))
    assert after.id != frozen.id
    assert after.source_digest == frozen.source_digest
    assert compare(frozen, after).environment == (UPGRADE,)


def test_a_requirement_that_changes_counts(frozen: Snapshot, package: Path, store: Store, site: Site) -> None:
    site.install("library", "1.0", requires=("new",))
    site.install("new", "3.0")
    assert drift.drift(store, frozen) == (EnvironmentChange("new", None, "3.0"),)


def test_what_was_missing_and_is_installed_now_counts(package: Path, store: Store, site: Site) -> None:
    make_package(package, {"fast.py": "try:\n    import numba\nexcept ImportError:\n    numba = None\n"})
    frozen = store.freeze(TreeSource(package))
    site.install("numba", "0.60")
    assert drift.drift(store, frozen) == (EnvironmentChange("numba", None, "0.60"),)


def test_an_edit_of_a_local_distribution_that_is_not_frozen_counts(
    package: Path, store: Store, site: Site, tmp_path: Path
) -> None:
    project = make_package(tmp_path / "project", {"library/__init__.py": "x = 1\n"})
    site.install("library", url=editable(project))
    frozen = store.freeze(TreeSource(package, local=False))
    make_package(project, {"library/__init__.py": "x = 2\n"})
    (change,) = drift.drift(store, frozen)
    assert change.name == "library"
    assert change.before != change.after


def test_an_edit_of_a_local_distribution_that_is_frozen_is_no_drift(
    package: Path, store: Store, site: Site, tmp_path: Path
) -> None:
    project = make_package(tmp_path / "project", {"library/__init__.py": "x = 1\n"})
    site.install("library", url=editable(project))
    frozen = store.freeze(TreeSource(package))
    make_package(project, {"library/__init__.py": "x = 2\n"})
    assert drift.drift(store, frozen) == ()


def test_a_store_that_did_not_see_the_code_frozen_knows_what_it_imports(
    frozen: Snapshot, store: Store, tmp_path: Path
) -> None:
    for journal in (store.root / "cache").glob("*.jsonl"):
        journal.unlink()
    assert Store(store.root).imports(frozen) == {"library"}


def test_what_another_process_froze_later_is_known(frozen: Snapshot, store: Store, package: Path) -> None:
    other = Store(store.root)
    assert other.imports(frozen) == {"library"}
    make_package(package, {"__init__.py": "import json, late\n"})
    assert other.imports(store.freeze(TreeSource(package))) == {"json", "late"}


def test_another_python_is_refused(frozen: Snapshot, store: Store) -> None:
    foreign = replace(frozen, environment=replace(frozen.environment, python="cp309"))
    with pytest.raises(DriftError, match=r"was frozen for cp309, and this is cp3\d+: run it with that Python"):
        drift.check(store, foreign)


def test_other_distributions_are_refused_where_that_is_asked_for(frozen: Snapshot, store: Store, site: Site) -> None:
    site.install("library", "2.0")
    assert drift.check(store, frozen) == (UPGRADE,)
    with pytest.raises(DriftError, match=r"\(library 1.0 -> 2.0\)"):
        drift.check(store, frozen, strict=True)


def test_many_changes_are_told_in_one_sentence(frozen: Snapshot) -> None:
    changes = [EnvironmentChange(f"x{number}", "1", None) for number in range(12)]
    assert "x9 1 -> absent and 2 more)" in drift.sentence(frozen.id, changes)


def command(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["env", "--store", str(store.root), *arguments])


def test_the_command_shows_what_is_installed_beside_what_was(frozen: Snapshot, store: Store, site: Site) -> None:
    same = command(store, frozen.short_id)
    assert (same.exit_code, "differs" in same.output) == (0, False)
    site.install("library", "2.0")
    other = command(store, frozen.short_id)
    assert (other.exit_code, "differs" in other.output) == (1, True)
    recorded = command(store, frozen.short_id, "--recorded")
    assert (recorded.exit_code, "2.0" in recorded.output) == (0, False)


def test_the_command_tells_programs(frozen: Snapshot, store: Store, site: Site) -> None:
    site.install("library", "2.0")
    told = command(store, frozen.short_id, "--json")
    facts = json.loads(told.output)
    assert (told.exit_code, facts["drift"]) == (1, [["library", "1.0", "2.0"]])
    assert facts["recorded"] == frozen.environment.to_dict()


def test_freezing_names_the_local_packages_and_leaves_them_out_on_demand(
    package: Path, store: Store, site: Site
) -> None:
    make_package(package.parent, {"helper.py": "", "my_lab/__init__.py": "import helper\n"})
    asked = ["freeze", str(package), "--store", str(store.root)]
    assert "of my_lab and helper," in CliRunner().invoke(main, asked).output
    assert "of my_lab," in CliRunner().invoke(main, [*asked, "--no-local"]).output
