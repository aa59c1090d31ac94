"""What is frozen from commits and working trees, and what is refused."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from executables import executable
from git import Repo

from hotswap.errors import SourceError
from hotswap.limits import Limits
from hotswap.source import GitSource, Source, TreeSource

Content = dict[str, tuple[int, bytes]]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@lab.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str = "Change") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def write(path: Path, text: str = "", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def content(source: Source) -> Content:
    return {file.path: (file.mode, file.read()) for file in source.files()}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package outside of any repository."""
    folder = tmp_path / "work" / "my_lab"
    write(folder / "__init__.py", "from my_lab import devices\n")
    write(folder / "devices" / "furnace.py", "class Furnace: ...\n")
    write(folder / "data" / "peaks.csv", "1,2\n")
    write(folder / "run.sh", "#!/bin/sh\n", 0o755)
    return folder


@pytest.fixture
def repo(package: Path) -> Path:
    """The root of a repository that has the package committed."""
    root = package.parent
    git(root, "init", "-q", "-b", "main")
    write(root / "README.md", "outside of the package")
    write(root / ".gitignore", "*.log\nbuild/\n")
    commit(root, "Start\n\nWith a body")
    return root


@pytest.fixture
def source(repo: Path) -> Iterator[GitSource]:
    with GitSource(repo, "my_lab") as opened:
        yield opened


EXPECTED = {
    "my_lab/__init__.py": (0o644, b"from my_lab import devices\n"),
    "my_lab/devices/furnace.py": (0o644, b"class Furnace: ...\n"),
    "my_lab/data/peaks.csv": (0o644, b"1,2\n"),
    "my_lab/run.sh": (0o755, b"#!/bin/sh\n"),
}


def test_a_folder_outside_of_git_is_read_whole(package: Path) -> None:
    source = TreeSource(package)
    assert source.package == "my_lab"
    assert content(source) == EXPECTED
    assert source.origin.commit is None
    assert source.origin.dirty


def test_a_commit_and_its_clean_working_tree_have_the_same_content(source: GitSource, package: Path) -> None:
    assert content(source) == content(TreeSource(package)) == EXPECTED


def test_a_commit_is_read_from_objects_not_from_disk(source: GitSource, package: Path) -> None:
    write(package / "__init__.py", "half sav")
    (package / "run.sh").unlink()
    assert content(source) == EXPECTED


def test_any_revision_can_be_named(repo: Path, package: Path) -> None:
    git(repo, "tag", "v1")
    write(package / "new.py")
    commit(repo)
    with GitSource(repo, "my_lab", "v1") as old, GitSource(repo, "my_lab") as new:
        assert content(new).keys() - content(old).keys() == {"my_lab/new.py"}


def test_a_commit_names_its_origin(source: GitSource, repo: Path) -> None:
    assert source.origin.commit == git(repo, "rev-parse", "HEAD")
    assert source.origin.author == "Ada <ada@lab.org>"
    assert source.origin.message == "Start\n\nWith a body"
    assert source.origin.committed_at is not None
    assert source.origin.committed_at.tzinfo is not None
    assert not source.origin.dirty


def test_a_clean_working_tree_carries_its_commit(source: GitSource, package: Path) -> None:
    assert TreeSource(package).origin == source.origin


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_an_edit_or_a_new_file_makes_a_working_tree_dirty(repo: Path, package: Path, name: str) -> None:
    write(package / name, "edited")
    origin = TreeSource(package).origin
    assert origin.dirty
    assert origin.commit == git(repo, "rev-parse", "HEAD")


def test_changes_outside_of_the_package_do_not_make_it_dirty(repo: Path, package: Path) -> None:
    write(repo / "README.md", "edited")
    assert not TreeSource(package).origin.dirty


def test_a_repository_without_a_commit_is_dirty(package: Path) -> None:
    git(package.parent, "init", "-q")
    assert TreeSource(package).origin.dirty
    assert content(TreeSource(package)) == EXPECTED


def test_what_gitignore_names_is_left_out(repo: Path, package: Path) -> None:
    write(package / "today.log")
    write(package / "build" / "x")
    write(package / "untracked.py")
    assert content(TreeSource(package)).keys() == {*EXPECTED, "my_lab/untracked.py"}


def test_deleted_files_are_gone(repo: Path, package: Path) -> None:
    (package / "run.sh").unlink()
    assert content(TreeSource(package)).keys() == EXPECTED.keys() - {"my_lab/run.sh"}


@pytest.mark.parametrize("committed", [True, False])
def test_byte_code_and_virtual_environments_are_left_out(package: Path, committed: bool) -> None:
    write(package / "__pycache__" / "a.cpython-311.pyc")
    write(package / "old.pyc")
    write(package / "env" / "pyvenv.cfg")
    write(package / "env" / "lib" / "numpy.py")
    if committed:
        git(package.parent, "init", "-q")
        commit(package.parent)
        with GitSource(package.parent, "my_lab") as source:
            assert content(source) == EXPECTED
    assert content(TreeSource(package)) == EXPECTED


def test_extra_packages_are_frozen_beside(repo: Path, package: Path) -> None:
    write(repo / "libs" / "shared" / "__init__.py", "shared")
    commit(repo)
    expected = {**EXPECTED, "shared/__init__.py": (0o644, b"shared")}
    with GitSource(repo, "my_lab", extra=("libs/shared",)) as source:
        assert content(source) == expected
    assert content(TreeSource(package, extra=(repo / "libs" / "shared",))) == expected


def test_a_repository_that_is_the_package_can_be_frozen(package: Path) -> None:
    git(package, "init", "-q")
    commit(package)
    with GitSource(package, ".") as source:
        assert content(source) == content(TreeSource(package)) == EXPECTED


def test_an_open_repository_stays_open(repo: Path) -> None:
    with Repo(repo) as opened:
        with GitSource(opened, "my_lab") as source:
            assert content(source) == EXPECTED
        with GitSource(opened, "my_lab") as again:
            assert content(again) == EXPECTED


def test_git_variables_of_a_hook_do_not_mislead(repo: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    assert content(TreeSource(package)) == EXPECTED
    assert not TreeSource(package).origin.dirty


def test_unchanged_content_keeps_its_key(repo: Path, package: Path) -> None:
    with GitSource(repo, "my_lab") as before:
        old = {file.path: file.key for file in before.files()}
    write(package / "__init__.py", "edited")
    commit(repo)
    with GitSource(repo, "my_lab") as after:
        new = {file.path: file.key for file in after.files()}
    assert {path for path in old if old[path] != new[path]} == {"my_lab/__init__.py"}


def test_a_working_tree_that_stays_passes_the_check(package: Path) -> None:
    source = TreeSource(package)
    source.files()
    source.check()


@pytest.mark.parametrize("change", ["edit", "add", "remove"])
def test_a_working_tree_that_moves_is_noticed(package: Path, change: str) -> None:
    source = TreeSource(package)
    source.files()
    if change == "edit":
        write(package / "__init__.py", "longer than it was before\n")
    elif change == "add":
        write(package / "new.py")
    else:
        (package / "run.sh").unlink()
    with pytest.raises(SourceError, match="changed while it was being frozen"):
        source.check()


def refusal(package: Path) -> str:
    """The one sentence that both a working tree and its commit are refused with."""
    limits = Limits(file_size=1000)
    with pytest.raises(SourceError) as on_disk:
        content(TreeSource(package, limits=limits))
    git(package.parent, "init", "-q")
    commit(package.parent)
    with pytest.raises(SourceError) as committed, GitSource(package.parent, "my_lab", limits=limits) as source:
        content(source)
    assert str(on_disk.value) == str(committed.value)
    return str(committed.value)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.py", "devices", "nowhere.py", "circle.py"])
def test_a_link_to_anything_but_a_file_inside_is_refused_by_name(package: Path, target: str) -> None:
    write(package.parent / "outside.py")
    (package / "circle.py").symlink_to(target)
    assert f"my_lab/circle.py is a symbolic link to {target}" in refusal(package)


def test_a_link_to_a_file_inside_is_frozen_as_that_file(package: Path) -> None:
    (package / "devices" / "peaks.csv").symlink_to("../data/peaks.csv")
    (package / "again.csv").symlink_to("devices/peaks.csv")
    git(package.parent, "init", "-q")
    commit(package.parent)
    linked = dict.fromkeys(("my_lab/devices/peaks.csv", "my_lab/again.csv"), EXPECTED["my_lab/data/peaks.csv"])
    with GitSource(package.parent, "my_lab") as source:
        assert content(source) == content(TreeSource(package)) == EXPECTED | linked


def test_a_file_over_the_limit_is_refused_by_name(package: Path) -> None:
    write(package / "data" / "huge.bin", "x" * 1001)
    assert "my_lab/data/huge.bin has 0.0 MiB" in refusal(package)


def test_an_lfs_pointer_is_refused_by_name(package: Path) -> None:
    write(package / "model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "my_lab/model.bin is a Git LFS pointer" in refusal(package)


def test_a_submodule_is_refused_by_name(repo: Path, package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other / "x.py")
    git(other, "init", "-q")
    commit(other)
    git(repo, "submodule", "add", "-q", str(other), "my_lab/vendored")
    assert "my_lab/vendored is a git submodule" in refusal(package)


def test_a_repository_inside_is_refused_by_name(repo: Path, package: Path) -> None:
    write(package / "nested" / "x.py")
    git(package / "nested", "init", "-q")
    commit(package / "nested")
    with pytest.raises(SourceError, match="my_lab/nested is a git submodule or another repository"):
        content(TreeSource(package))


def test_what_is_neither_file_nor_folder_is_refused_by_name(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("door")
        with pytest.raises(SourceError, match="my_lab/door is neither a file nor a folder"):
            content(TreeSource(package))


def test_a_folder_that_git_cannot_open_is_refused(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        pretend_git_cannot_open(patch, repo, "my_lab/secret")
        with pytest.raises(SourceError, match=r"my_lab/secret in .* cannot be read \(Permission denied\)"):
            TreeSource(repo / "my_lab").files()
    pretend_git_cannot_open(monkeypatch, repo, "my_lab/__pycache__")
    assert TreeSource(repo / "my_lab").files()


def pretend_git_cannot_open(monkeypatch: pytest.MonkeyPatch, repo: Path, folder: str) -> None:
    """Put a git before the true one that warns as it does; that root may open everything is no matter then."""
    warning = f"warning: could not open directory '{folder}/': Permission denied"
    script = f'#!/bin/sh\necho {shlex.quote(warning)} >&2\nexec {shutil.which("git")} "$@"\n'
    executable(repo.parent / "bin" / "git", script)
    monkeypatch.setenv("PATH", f"{repo.parent / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused_by_name(package: Path) -> None:
    (package / "run.sh").chmod(0)
    with pytest.raises(SourceError, match=r"my_lab/run.sh cannot be read \(Permission denied\)"):
        content(TreeSource(package))


def test_a_file_that_goes_away_is_told_by_name(package: Path) -> None:
    files = TreeSource(package).files()
    (package / "run.sh").unlink()
    with pytest.raises(SourceError, match=r"my_lab/run\.sh cannot be read"):
        [file.read() for file in files]


def test_a_name_that_is_not_utf8_is_refused(package: Path) -> None:
    (package / os.fsdecode(b"caf\xe9.py")).touch()
    assert "is not valid UTF-8" in refusal(package)


def test_an_empty_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my_lab").mkdir()
    with pytest.raises(SourceError, match="nothing to freeze in my_lab"):
        TreeSource(tmp_path / "my_lab").files()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my-lab", "not a Python identifier"),
        ("class", "not a Python identifier"),
        ("lab", "belongs to the runtime"),
        ("hotswap", "belongs to the runtime"),
        ("json", "standard library"),
        ("click", "an installed package"),
    ],
)
def test_names_that_hide_other_code_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    write(tmp_path / name / "__init__.py")
    with pytest.raises(SourceError, match=reason):
        TreeSource(tmp_path / name)


def test_two_packages_of_one_name_are_refused(package: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "my_lab" / "__init__.py")
    with pytest.raises(SourceError, match="another frozen package"):
        TreeSource(package, extra=(tmp_path / "elsewhere" / "my_lab",))


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no folder"):
        TreeSource(tmp_path / "my_lab")


@pytest.mark.parametrize("rev", ["v9", "", "--help", "HEAD~1000", "HEAD:my_lab", "0" * 40])
def test_a_missing_revision_is_told(repo: Path, rev: str) -> None:
    with pytest.raises(SourceError, match="has no commit '"):
        GitSource(repo, "my_lab", rev)


def test_a_package_that_is_not_committed_is_told(repo: Path) -> None:
    write(repo / "new_lab" / "__init__.py")
    with GitSource(repo, "new_lab") as source, pytest.raises(SourceError, match="has no folder new_lab"):
        source.files()


def test_a_folder_outside_of_git_has_no_commits(package: Path) -> None:
    with pytest.raises(SourceError, match="not in a git repository"):
        GitSource(package.parent, "my_lab")


def test_a_path_out_of_the_repository_is_refused(repo: Path) -> None:
    with pytest.raises(SourceError, match="leaves the repository"):
        GitSource(repo, "../my_lab")
