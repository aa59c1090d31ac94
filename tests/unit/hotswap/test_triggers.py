from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import watchfiles
from executables import executable

from hotswap.triggers import HOOKS, CommitTrigger, SaveTrigger, TriggerError, _SourceFilter, install_hook


def run(*command: str, cwd: Path) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def commit(repo: Path, message: str = "change") -> str:
    run("git", "-c", "user.name=T", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", message, cwd=repo)
    return run("git", "rev-parse", "HEAD", cwd=repo)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    path = tmp_path / "my lab"
    path.mkdir()
    run("git", "init", "-q", "-b", "main", cwd=path)
    commit(path)
    return path


def told(git_dir: Path) -> str:
    return (git_dir / "hotswap" / "commit").read_text().strip()


def foreign_hook(hook: Path, status: int = 0) -> Path:
    """A hook of somebody else that writes down its arguments and its input."""
    seen = hook.parent.parent / f"{hook.name}.seen"
    executable(hook, f'#!/bin/sh\necho "$@" > "{seen}"\ncat >> "{seen}"\nexit {status}\n')
    return seen


def test_a_commit_leaves_its_id_beside_the_repository(repo: Path) -> None:
    install_hook(repo)
    identifier = commit(repo)
    assert told(repo / ".git") == identifier
    assert [path.name for path in (repo / ".git" / "hotswap").iterdir()] == ["commit"]


def test_a_checkout_and_a_merge_are_told_too(repo: Path) -> None:
    install_hook(repo)
    run("git", "checkout", "-q", "-b", "other", cwd=repo)
    newest = commit(repo)
    run("git", "checkout", "-q", "main", cwd=repo)
    assert told(repo / ".git") == run("git", "rev-parse", "main", cwd=repo)
    run("git", "merge", "-q", "other", cwd=repo)
    assert told(repo / ".git") == newest


def test_installing_twice_changes_nothing(repo: Path) -> None:
    install_hook(repo)
    hooks = repo / ".git" / "hooks"
    before = {path.name: path.read_bytes() for path in hooks.iterdir()}
    install_hook(repo)
    assert {path.name: path.read_bytes() for path in hooks.iterdir()} == before


@pytest.mark.parametrize("times", [1, 2])
def test_an_existing_hook_goes_on_running_with_its_input_and_arguments(repo: Path, times: int) -> None:
    seen = foreign_hook(repo / ".git" / "hooks" / "post-rewrite")
    for _ in range(times):
        install_hook(repo)
    old = run("git", "rev-parse", "HEAD", cwd=repo)
    run("git", "-c", "user.name=T", "-c", "user.email=t@t", "commit", "-q", "--amend", "-m", "better",
        "--allow-empty", cwd=repo)  # fmt: skip
    new = run("git", "rev-parse", "HEAD", cwd=repo)
    assert seen.read_text().split() == ["amend", old, new]
    assert told(repo / ".git") == new


def test_the_exit_status_of_an_existing_hook_is_kept(repo: Path) -> None:
    foreign_hook(repo / ".git" / "hooks" / "post-checkout", status=7)
    install_hook(repo)
    done = subprocess.run(["git", "checkout", "-q", "-b", "other"], cwd=repo, capture_output=True, check=False)
    assert done.returncode != 0


def test_two_foreign_hooks_are_not_overwritten(repo: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-commit"
    foreign_hook(hook)
    foreign_hook(hook.with_name("post-commit.before-hotswap"))
    with pytest.raises(TriggerError, match="remove or merge one of them"):
        install_hook(repo)


def test_a_hooks_directory_of_the_users_own_is_respected(repo: Path, tmp_path: Path) -> None:
    run("git", "config", "core.hooksPath", str(tmp_path / "hooks"), cwd=repo)
    install_hook(repo)
    assert {path.name for path in (tmp_path / "hooks").iterdir()} == set(HOOKS)
    assert commit(repo) == told(repo / ".git")


def test_shared_hooks_do_nothing_in_other_repositories(repo: Path, tmp_path: Path) -> None:
    run("git", "config", "core.hooksPath", str(tmp_path / "hooks"), cwd=repo)
    install_hook(repo)
    other = tmp_path / "other"
    other.mkdir()
    run("git", "init", "-q", cwd=other)
    run("git", "config", "core.hooksPath", str(tmp_path / "hooks"), cwd=other)
    commit(other)
    assert not (other / ".git" / "hotswap").exists()


def test_a_linked_working_tree_is_told_of_its_own_commits(repo: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    run("git", "worktree", "add", "-q", "-b", "side", str(linked), cwd=repo)
    install_hook(linked)
    assert commit(linked) == told(repo / ".git" / "worktrees" / "linked")


def test_a_commit_succeeds_when_its_id_cannot_be_left(repo: Path) -> None:
    install_hook(repo)
    (repo / ".git" / "hotswap" / "commit").mkdir()
    (repo / ".git" / "hotswap" / "commit" / "full").touch()
    assert commit(repo) == run("git", "rev-parse", "HEAD", cwd=repo)


def test_a_directory_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TriggerError, match="is in no git working tree; run `git init` there"):
        install_hook(tmp_path)
    with pytest.raises(TriggerError, match="is in no git working tree"):
        CommitTrigger(tmp_path, None, print)


def test_a_missing_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TriggerError, match="no directory"):
        SaveTrigger(tmp_path / "gone", lambda: None, 50)


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/a.cpython-311.pyc",
        ".a.py.swp",
        "a.py~",
        ".#a.py",
        "#a.py#",
        "4913",
        ".goutputstream-X1",
        ".git/HEAD",
    ],
)
def test_what_editors_and_python_leave_is_ignored(tmp_path: Path, name: str) -> None:
    assert not _SourceFilter(lambda: [tmp_path])(watchfiles.Change.modified, str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.py", "devices/b.py", "recipes/c.json", "table.csv", "notes.tmp"])
def test_code_and_data_count(tmp_path: Path, name: str) -> None:
    assert _SourceFilter(lambda: [tmp_path])(watchfiles.Change.modified, str(tmp_path / name))


def test_where_the_package_lies_is_no_reason_to_ignore_it(tmp_path: Path) -> None:
    root = tmp_path / "node_modules" / "lab"
    assert _SourceFilter(lambda: [root])(watchfiles.Change.modified, str(root / "a.py"))
