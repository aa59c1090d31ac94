"""What counts as the environment of a snapshot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from distributions import Site, editable, make_package

from hotswap._installed import RUNTIME
from hotswap.environment import (
    Distribution,
    Environment,
    EnvironmentChange,
    fingerprint,
    outside_runtime,
    python_tag,
    selector,
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """All that is installed."""
    folder = Site(tmp_path / "site")
    monkeypatch.setattr(sys, "path", [str(folder.folder)])
    return folder


def versions(environment: Environment) -> dict[str, str]:
    return {one.name: one.version for one in environment.distributions}


def test_the_imported_and_what_it_requires_count(site: Site) -> None:
    site.install("front", requires=("middle-man",))
    site.install("Middle_Man", requires=("back",))
    site.install("back", "2.5")
    site.install("stranger")
    assert versions(fingerprint(["front"])) == {"front": "1.0", "middle-man": "1.0", "back": "2.5"}


def test_markers_and_extras_are_followed(site: Site) -> None:
    site.install("front", requires=("plain[fast]", 'windows-only; sys_platform == "win32"'))
    site.install("plain", requires=('fast-one; extra == "fast"', 'slow-one; extra == "slow"'))
    for name in ("fast-one", "slow-one", "windows-only"):
        site.install(name)
    assert versions(fingerprint(["front"])).keys() == {"front", "plain", "fast-one"}


def test_requirements_in_a_circle_end(site: Site) -> None:
    site.install("chicken", requires=("egg",))
    site.install("egg", requires=("chicken",))
    assert versions(fingerprint(["egg"])).keys() == {"chicken", "egg"}


def test_requirements_that_are_missing_or_unreadable_do_not_count(site: Site) -> None:
    site.install("front", requires=("nowhere", "!!"))
    assert versions(fingerprint(["front"])).keys() == {"front"}


def test_the_standard_library_and_unknown_modules_do_not_count() -> None:
    assert fingerprint(["json", "asyncio", "no_such_module_anywhere"]).distributions == ()


def test_all_who_share_a_namespace_count(site: Site) -> None:
    site.install("cloud-a", files=("cloud/a.py",))
    site.install("cloud-b", files=("cloud/b.py",))
    assert versions(fingerprint(["cloud"])).keys() == {"cloud-a", "cloud-b"}


def test_an_installation_is_noticed_at_once(site: Site) -> None:
    assert fingerprint(["newcomer"]).distributions == ()
    site.install("newcomer")
    assert versions(fingerprint(["newcomer"])) == {"newcomer": "1.0"}


def make_project(folder: Path) -> Path:
    return make_package(folder, {"mine/__init__.py": "x = 1\n", "mine/data/table.csv": "1,2\n"})


def local_digest(name: str = "mine") -> str:
    (found,) = fingerprint([name]).distributions
    assert found.digest is not None
    return found.digest


@pytest.fixture
def project(tmp_path: Path, site: Site) -> Path:
    """A project with the package ``mine``, installed editable."""
    folder = make_project(tmp_path / "project")
    site.install_editable("mine", folder)
    return folder


def test_an_editable_distribution_is_known_by_its_content(project: Path) -> None:
    before = local_digest()
    (project / "mine" / "data" / "table.csv").write_text("3,4\n")
    assert local_digest() != before


def test_byte_code_and_hidden_files_are_not_its_content(project: Path) -> None:
    before = local_digest()
    (project / "mine" / "__pycache__").mkdir()
    (project / "mine" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (project / "mine" / ".swap").touch()
    (project / "README").touch()
    assert local_digest() == before


def test_the_place_of_an_editable_distribution_does_not_matter(project: Path, tmp_path: Path, site: Site) -> None:
    here = local_digest()
    other = make_project(tmp_path / "clone")
    site.install_editable("mine", other)
    assert local_digest() == here
    (other / "mine" / "__init__.py").write_text("x = 2\n")
    assert local_digest() != here


def test_only_the_packages_that_a_hatch_project_declares_count(tmp_path: Path, site: Site) -> None:
    project = make_project(tmp_path / "project")
    (project / "pyproject.toml").write_text('[tool.hatch.build.targets.wheel]\npackages = ["mine"]\n')
    make_package(project, {"tests/__init__.py": ""})
    site.install_editable("mine", project)
    before = local_digest()
    (project / "tests" / "__init__.py").write_text("x")
    assert local_digest() == before
    assert fingerprint(["tests"]).distributions == ()


def test_an_editable_distribution_in_a_src_folder_is_found(tmp_path: Path, site: Site) -> None:
    make_project(tmp_path / "project" / "src")
    site.install("mine", files=("_mine.pth",), url=editable(tmp_path / "project"))
    assert local_digest() != ""


def test_a_path_install_is_known_by_its_copy(site: Site) -> None:
    site.install("copied", files=("copied/__init__.py",), url={"url": "file:///elsewhere", "dir_info": {}})
    before = local_digest("copied")
    (site.folder / "copied" / "__init__.py").write_text("x = 1\n")
    assert local_digest("copied") != before


def test_a_project_with_an_import_hook_is_known_by_the_folders_that_the_hook_serves(tmp_path: Path, site: Site) -> None:
    code = make_package(tmp_path / "project" / "lib" / "code", {"__init__.py": ""})
    site.install_with_finder("mine", tmp_path / "project", {"mine": code})
    before = local_digest()
    (code / "__init__.py").write_text("x = 1\n")
    assert local_digest() != before


def test_a_single_file_module_is_known_by_its_content(tmp_path: Path, site: Site) -> None:
    module = make_package(tmp_path / "project", {"mine.py": ""}) / "mine.py"
    site.install_editable("mine", tmp_path / "project")
    before = local_digest()
    module.write_text("x = 1\n")
    assert local_digest() != before


def test_what_conda_installed_is_known_by_its_version(site: Site) -> None:
    site.install("packed", url={"url": "file:///build/packed", "dir_info": {}}, INSTALLER="conda\n")
    assert fingerprint(["packed"]).distributions == (Distribution("packed", "1.0"),)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ({"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}, "c0ffee"),
        ({"url": "file:///x.whl", "archive_info": {"hashes": {"sha256": "feed"}}}, "feed"),
        ({"url": "file:///x.whl", "archive_info": {"hash": "sha256=feed"}}, "sha256=feed"),
        ({"url": "https://host/x.whl", "archive_info": {"hashes": {"sha256": "feed"}}}, None),
    ],
)
def test_the_commit_or_the_local_archive_that_was_installed_counts(
    site: Site, url: dict[str, object], told: str | None
) -> None:
    site.install("x", url=url)
    assert fingerprint(["x"]).distributions == (Distribution("x", "1.0", told),)


def test_broken_metadata_do_no_harm(site: Site) -> None:
    site.install("mine", files=("_gone.pth",), url=editable(site.folder / "nowhere"))
    (site.folder / "_gone.pth").unlink()
    site.install("other")
    (site.folder / "other-1.0.dist-info" / "direct_url.json").write_text("{")
    assert versions(fingerprint(["mine", "other"])) == {"other": "1.0"}


def test_a_local_distribution_that_is_frozen_counts_without_its_content(project: Path, site: Site) -> None:
    site.install("needed")
    site.install("mine", requires=("needed",), url=editable(project))
    expected = (Distribution("mine", "1.0"), Distribution("needed", "1.0"))
    assert fingerprint([], frozenset({"mine"})).distributions == expected


def test_an_upgrade_is_noticed_at_once(site: Site) -> None:
    site.install("library", "1.0")
    before = fingerprint(["library"])
    site.install("library", "2.0")
    assert before.compare(fingerprint(["library"])) == (EnvironmentChange("library", "1.0", "2.0"),)


def test_an_upgrade_in_place_is_noticed_at_once(site: Site) -> None:
    site.install("library", "1.0")
    before = fingerprint(["library"])
    metadata = site.folder / "library-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.0.1"))
    assert before.compare(fingerprint(["library"])) == (EnvironmentChange("library", "1.0", "1.0.1"),)


def test_a_change_tells_name_and_versions() -> None:
    before = Environment("cp311", (Distribution("a", "1"), Distribution("b", "1"), Distribution("same", "1")))
    after = Environment("cp312", (Distribution("b", "1", "f" * 64), Distribution("same", "1")))
    told = ["a 1 -> absent", f"b 1 -> 1 ({'f' * 12})", "python cp311 -> cp312"]
    assert [str(change) for change in before.compare(after)] == told
    assert before.compare(before) == ()


def test_this_very_project_is_found() -> None:
    assert "hotswap-lab" in versions(fingerprint(["hotswap"]))


def test_an_environment_survives_plain_data() -> None:
    environment = Environment("cp311", (Distribution("a", "1"), Distribution("b", "2", "ff")))
    assert Environment.from_dict(json.loads(json.dumps(environment.to_dict()))) == environment


def test_each_fact_of_an_environment_counts() -> None:
    some = [
        Environment("cp311", (Distribution("a", "1"),)),
        Environment("cp312", (Distribution("a", "1"),)),
        Environment("cp311", (Distribution("a", "2"),)),
        Environment("cp311", (Distribution("a", "1", "ff"),)),
        Environment("cp311"),
    ]
    assert len({one.digest for one in some}) == len(some)


def test_the_python_is_told_by_its_tag() -> None:
    assert fingerprint([]).python == python_tag()


def test_a_part_of_a_recorded_environment_is_told_by_its_modules() -> None:
    recorded = Environment("cp311", (Distribution("click", "0.1"), Distribution("pymongo", "0.2")))
    select = selector(recorded)
    assert select(["click", "json"]).distributions == (Distribution("click", "0.1"),)
    assert select(["bson"]).distributions == (Distribution("pymongo", "0.2"),)
    assert select([]).distributions == ()


def test_edits_of_the_runtime_itself_are_no_other_environment_but_another_release_of_it_is() -> None:
    edited = EnvironmentChange(RUNTIME, "0.1.0 (aa)", "0.1.0 (bb)")
    released = EnvironmentChange(RUNTIME, "0.1.0 (aa)", "0.2.0")
    other = EnvironmentChange("library", "1.0 (aa)", "1.0 (bb)")
    assert outside_runtime([edited, other]) == (other,)
    assert outside_runtime([released]) == (released,)
    assert RUNTIME in {one.name for one in fingerprint(["hotswap"]).distributions}


@pytest.mark.parametrize(("name", "counts"), [(RUNTIME, False), ("mine", True)])
def test_edits_of_the_runtime_do_not_count_while_a_process_runs_it(
    site: Site, tmp_path: Path, name: str, counts: bool
) -> None:
    package = make_package(tmp_path / "project" / "module", {"__init__.py": ""})
    site.install_editable(name, tmp_path / "project")
    before = fingerprint(["module"])
    (package / "added.py").touch()
    assert (fingerprint(["module"]) != before) == counts
