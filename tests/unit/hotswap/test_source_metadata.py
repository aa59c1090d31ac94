"""The version that a project states is frozen with its packages, from a commit as from a working tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hotswap.errors import SourceError
from hotswap.source import GitSource, Source, TreeSource

METADATA = "my_lab-1.2.dist-info/METADATA"
NAMES = ("METADATA", "entry_points.txt", "top_level.txt")


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@lab.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def state(project: Path, version: str) -> None:
    (project / "pyproject.toml").write_text(f'[project]\nname = "my-lab"\nversion = "{version}"\n')


def metadata(source: Source) -> dict[str, bytes]:
    return {file.path: file.read() for file in source.files() if ".dist-info/" in file.path}


@pytest.fixture(params=[".", "src"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A committed package, beside its project's settings or in a folder of sources there."""
    package = tmp_path / str(request.param) / "my_lab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    state(tmp_path, "1.2")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Start")
    return package


def test_commit_and_clean_working_tree_have_the_same_metadata(tmp_path: Path, package: Path) -> None:
    tree = TreeSource(package)
    found = metadata(tree)
    assert b"Name: my-lab\nVersion: 1.2\n" in found[METADATA]
    assert not tree.origin.dirty
    with GitSource(tmp_path, package.relative_to(tmp_path).as_posix()) as commit:
        assert metadata(commit) == found


def test_another_version_is_another_content_and_dirty(tmp_path: Path, package: Path) -> None:
    state(tmp_path, "1.3")
    tree = TreeSource(package)
    assert set(metadata(tree)) == {f"my_lab-1.3.dist-info/{name}" for name in NAMES}
    assert tree.origin.dirty


def test_packages_of_one_project_have_one_folder_of_metadata(package: Path) -> None:
    other = package.with_name("helpers")
    other.mkdir()
    (other / "__init__.py").touch()
    found = metadata(TreeSource(package, extra=(other,)))
    assert found["my_lab-1.2.dist-info/top_level.txt"] == b"helpers\nmy_lab\n"
    assert len(found) == 3


def test_a_project_that_changes_meanwhile_is_noticed(tmp_path: Path, package: Path) -> None:
    tree = TreeSource(package)
    tree.files()
    state(tmp_path, "1.3")
    with pytest.raises(SourceError, match=r"pyproject\.toml changed while it was being frozen"):
        tree.check()


def test_a_project_that_cannot_be_read_is_refused(tmp_path: Path, package: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(SourceError, match=r"pyproject\.toml cannot be read"):
        TreeSource(package).files()


def test_a_package_without_a_project_has_no_metadata(tmp_path: Path, package: Path) -> None:
    (tmp_path / "pyproject.toml").unlink()
    assert metadata(TreeSource(package)) == {}
