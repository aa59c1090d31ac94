"""Making a new laboratory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.init import InitError, create_lab
from lab.settings.config import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: no git identity, no templates, no hooks of whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    for variable in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "night_shift"


def git(repo: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=repo, check=True, capture_output=True, text=True).stdout.strip()


def test_the_new_lab_is_a_clean_repository_with_one_commit(target: Path) -> None:
    assert create_lab(target) == target
    assert git(target, "branch", "--show-current") == "main"
    assert git(target, "rev-list", "--count", "HEAD") == "1"
    assert git(target, "status", "--porcelain") == ""


def test_everything_of_the_starter_is_committed(target: Path, home: Path) -> None:
    (home / ".gitconfig").write_text(f"[core]\nexcludesFile = {home}/ignore\n")
    (home / "ignore").write_text("data/\n*.toml\n")
    create_lab(target)
    files = git(target, "ls-files").splitlines()
    assert {".gitignore", "lab.toml", "my_lab/data/reference_peaks.json", "tests/test_furnace.py"} <= set(files)
    assert not [file for file in files if "__pycache__" in file]


def test_the_settings_load_and_name_the_lab_after_its_folder(target: Path) -> None:
    config = load(create_lab(target), environ={})
    assert (config.general.name, config.package_name) == ("night_shift", "my_lab")
    assert not config.general.auto_refresh


def test_auto_refresh_is_written_when_asked_for(target: Path) -> None:
    assert load(create_lab(target, auto_refresh=True), environ={}).general.auto_refresh


def test_a_folder_name_with_quotes_is_written_safely(tmp_path: Path) -> None:
    lab_dir = create_lab(tmp_path / 'the "hot" lab')
    assert load(lab_dir, environ={}).general.name == 'the "hot" lab'


def test_the_package_gets_the_given_name_everywhere(target: Path) -> None:
    create_lab(target, name="ceramics")
    assert load(target, environ={}).package_name == "ceramics"
    texts = [path.read_text() for path in target.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert not [text for text in texts if "my_lab" in text]


def test_the_tests_of_a_renamed_lab_pass(target: Path) -> None:
    create_lab(target, name="ceramics")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=target, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_commits_run_the_hook(target: Path) -> None:
    create_lab(target)
    hook = target / ".git" / "hooks" / "post-commit"
    assert os.access(hook, os.X_OK)


def test_nothing_else_in_the_lab_is_executable(target: Path) -> None:
    create_lab(target)
    modes = {line.split()[0] for line in git(target, "ls-files", "--stage").splitlines()}
    assert modes == {"100644"}


def test_an_identity_is_lent_only_where_none_is_configured(target: Path, home: Path) -> None:
    create_lab(target)
    assert git(target, "log", "--format=%an <%ae>") == "lab init <lab@localhost>"
    (home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    second = create_lab(target.with_name("second"))
    assert git(second, "log", "--format=%an <%ae>") == "Ada <ada@example.org>"


def test_the_lent_identity_does_not_stay(target: Path) -> None:
    create_lab(target)
    assert "lab@localhost" not in (target / ".git" / "config").read_text()


def test_an_empty_folder_is_used(target: Path) -> None:
    target.mkdir()
    create_lab(target)
    assert (target / "lab.toml").is_file()


def test_a_folder_with_content_is_refused_untouched(target: Path) -> None:
    target.mkdir()
    (target / "thesis.tex").touch()
    with pytest.raises(InitError, match="is not empty: name a new or an empty folder"):
        create_lab(target)
    assert [path.name for path in target.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way_is_refused(target: Path) -> None:
    target.write_text("")
    with pytest.raises(InitError, match="cannot be made"):
        create_lab(target)
    assert target.is_file()


@pytest.mark.parametrize("name", ["my-lab", "1lab", "class", "lab", "hotswap", "json", "pytest", ""])
def test_a_package_name_that_cannot_be_imported_is_refused(target: Path, name: str) -> None:
    with pytest.raises(InitError, match="a package"):
        create_lab(target, name=name)
    assert not target.exists()


def test_a_folder_in_sight_is_not_an_installed_package(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = target.parent / "elsewhere"
    (elsewhere / "ceramics").mkdir(parents=True)
    (elsewhere / "ceramics" / "__init__.py").touch()
    monkeypatch.chdir(elsewhere)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert (create_lab(target, name="ceramics") / "ceramics").is_dir()


@pytest.mark.parametrize("existing", [True, False])
def test_when_git_refuses_nothing_stays_behind(target: Path, home: Path, existing: bool) -> None:
    (home / ".gitconfig").write_text("[commit]\ngpgsign = true\n[gpg]\nprogram = /bin/false\n")
    lab_dir = target / "deep" / "lab"
    if existing:
        lab_dir.mkdir(parents=True)
    with pytest.raises(InitError, match="git refuses to commit the new lab") as caught:
        create_lab(lab_dir)
    assert "\n" not in str(caught.value)
    assert [path.name for path in target.rglob("*")] == (["deep", "lab"] if existing else [])


def test_without_git_it_says_so(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InitError, match="git is not installed"):
        create_lab(target)
    assert not target.exists()


def test_another_repository_is_left_alone(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = create_lab(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    create_lab(target)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert git(other, "rev-list", "--count", "HEAD") == "1"
    assert git(target, "rev-list", "--count", "HEAD") == "1"
