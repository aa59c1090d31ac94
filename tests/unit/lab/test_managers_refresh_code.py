"""What a laboratory freezes."""

from __future__ import annotations

import subprocess
from itertools import islice
from pathlib import Path

import pytest
from distributions import make_package

from hotswap.environment import Distribution, Environment
from hotswap.errors import MovedError, SourceError, StoreError
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.managers.refresh import LabCode
from lab.settings.config import ConfigError, load

pytestmark = pytest.mark.system

FILES = {
    "my_lab/__init__.py": "import recipes\n",
    "recipes/__init__.py": "import units\n",
    "units.py": "",
    "plugins/heat.py": "",
}
LAB = '[general]\npackage = "my_lab"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_package(tmp_path / "lab", FILES)


def code(folder: Path, settings: str) -> LabCode:
    (folder / "lab.toml").write_text(LAB + settings)
    config = load(folder, {"LAB_STATE_DIR": str(folder.parent / "state")})
    return LabCode(config, Store(folder.parent / "store"))


def frozen(folder: Path, settings: str = "", rev: str | None = None) -> set[str]:
    return {entry.path for entry in code(folder, settings).freeze(rev).files}


def commit(folder: Path) -> None:
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("trigger", ["", 'trigger = "save"\n'], ids=["commit", "save"])
def test_the_packages_beside_the_lab_package_are_frozen_with_it(folder: Path, trigger: str) -> None:
    expected = {"my_lab/__init__.py", "recipes/__init__.py", "units.py"}
    assert frozen(folder, trigger) == expected, "outside of git"
    commit(folder)
    assert frozen(folder, trigger) == frozen(folder, trigger, "HEAD") == expected


def test_the_saved_code_tells_where_it_is_even_if_it_cannot_be_frozen(folder: Path) -> None:
    saved = code(folder, 'trigger = "save"\n')
    assert saved.places == (folder / "my_lab",)
    saved.freeze(None)
    assert set(saved.places) == {folder / "my_lab", folder / "recipes", folder / "units.py"}
    (folder / "recipes" / "gone").symlink_to("/nowhere")
    with pytest.raises(SourceError, match="symbolic link"):
        saved.freeze(None)
    assert folder / "my_lab" in saved.places


def test_files_that_are_saved_while_they_are_frozen_are_frozen_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = code(folder, 'trigger = "save"\n[refresh]\ndebounce_ms = 1\n')
    check, edits = TreeSource.check, iter(["half = ", "half = 1"])

    def check_after_a_save(source: TreeSource) -> None:
        for content in islice(edits, 1):
            (folder / "units.py").write_text(content)
        check(source)

    monkeypatch.setattr(TreeSource, "check", check_after_a_save)
    snapshot = saved.freeze(None)
    assert next(entry.size for entry in snapshot.files if entry.path == "units.py") == len("half = 1")


def test_files_that_never_rest_are_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = code(folder, 'trigger = "save"\n[refresh]\ndebounce_ms = 1\n')
    check = TreeSource.check

    def check_after_a_save(source: TreeSource) -> None:
        with (folder / "units.py").open("a") as file:
            file.write("# more\n")
        check(source)

    monkeypatch.setattr(TreeSource, "check", check_after_a_save)
    with pytest.raises(MovedError, match=r"units.py changed while it was being frozen: freeze again when nothing"):
        saved.freeze(None)


def test_a_commit_has_the_helpers_of_that_commit(folder: Path) -> None:
    commit(folder)
    make_package(folder, {"units.py": "HALF_SAVED = "})
    snapshot = code(folder, "").freeze(None)
    assert not snapshot.origin.dirty
    assert next(entry.size for entry in snapshot.files if entry.path == "units.py") == 0


def test_the_settings_add_packages_and_leave_out_what_is_imported(folder: Path) -> None:
    settings = '[code]\nlocal = false\nextra = ["plugins", "units.py"]\n'
    expected = {"my_lab/__init__.py", "plugins/heat.py", "units.py"}
    assert frozen(folder, settings) == expected
    commit(folder)
    assert frozen(folder, settings) == expected


def test_with_a_remote_the_newest_is_what_the_remote_has(folder: Path, tmp_path: Path) -> None:
    settings = 'branch = "main"\n[code]\nremote = "origin"\n'
    commit(folder)
    subprocess.run(["git", "branch", "-M", "main"], cwd=folder, check=True)
    subprocess.run(["git", "clone", "-q", str(folder), str(tmp_path / "clone")], check=True)
    clone = code(tmp_path / "clone", settings)
    before = clone.freeze(None)
    make_package(folder, {"my_lab/new.py": ""})
    commit(folder)
    assert "my_lab/new.py" in {entry.path for entry in clone.freeze(None).files}
    folder.rename(tmp_path / "away")
    with pytest.raises(SourceError, match=r"origin/main cannot be fetched \(.*\): see that `git fetch` works without"):
        clone.freeze(None)
    assert clone.freeze(before.origin.commit).id == before.id


def test_a_package_outside_of_the_repository_cannot_be_added_to_a_commit(folder: Path) -> None:
    make_package(folder.parent, {"elsewhere.py": ""})
    commit(folder)
    with pytest.raises(SourceError, match=r"elsewhere.py, which code.extra names, is not in the repository"):
        frozen(folder, '[code]\nextra = ["../elsewhere.py"]\n')


def test_a_package_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"code.extra names .*gone, which does not exist: correct the path"):
        code(folder, '[code]\nextra = ["gone"]\n')


def test_the_files_of_a_code_version_are_frozen_again_with_what_is_installed_now(folder: Path) -> None:
    made = code(folder, "")
    store = Store(folder.parent / "store")
    old = store.freeze(TreeSource(folder / "my_lab"), Environment("cp311", (Distribution("library", "0.1"),)))
    (folder / "my_lab" / "__init__.py").write_text("raise RuntimeError\n")
    again = made.freeze(f"version:{old.short_id}")
    assert (again.files, again.origin) == (old.files, old.origin)
    assert again.environment != old.environment
    with pytest.raises(StoreError):
        made.freeze("version:0000")
