"""A tree that changes while it is read, and files that cannot be read: refused by name, and nothing is kept."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from hotswap.environment import Environment
from hotswap.errors import SourceError
from hotswap.source import TreeSource, _folder
from hotswap.store import Store

pytestmark = pytest.mark.system

Change = Callable[[Path], object]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "my_lab"
    (folder / "data").mkdir(parents=True)
    for name in ("__init__.py", "a.py", "data/peaks.csv", "z.py"):
        (folder / name).write_text(f"# {name}\n")
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def during(patch: pytest.MonkeyPatch, name: str, change: Callable[[], object]) -> None:
    """Have somebody else do ``change`` just before the file ``name`` is read."""
    read = _folder.File.read

    def interrupted(file: _folder.File) -> bytes:
        if file.path == f"my_lab/{name}":
            other = Thread(target=change)
            other.start()
            other.join()
        return read(file)

    patch.setattr(_folder.File, "read", interrupted)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def rewrite(path: Path) -> None:
    """The same size, in place, with the time set back."""
    before = path.stat()
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(path: Path) -> None:
    """With a file that has the same size and age."""
    aside, other = path.with_name("aside"), path.with_name("z.py")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


@pytest.mark.parametrize("when", ["__init__.py", "z.py"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a.py", rewrite),
        ("a.py", lambda path: path.write_text("longer than it was")),
        ("a.py", lambda path: path.write_text("")),
        ("a.py", Path.unlink),
        ("a.py", swap),
        ("a.py", lambda path: path.chmod(0o755)),
        ("a.py", replace_by_pipe),
        ("a.py", replace_by_link),
        ("new.py", Path.touch),
        ("data/new.csv", Path.touch),
    ],
    ids=["same size", "grown", "emptied", "gone", "swapped", "made executable", "pipe", "link", "new", "new below"],
)
def test_a_change_while_others_are_read_is_refused(
    package: Path, kept: Store, monkeypatch: pytest.MonkeyPatch, when: str, name: str, change: Change
) -> None:
    during(monkeypatch, when, lambda: change(package / name))
    with pytest.raises(SourceError, match=rf"my_lab/{name} (changed while it was being frozen|cannot be read)"):
        kept.freeze(TreeSource(package), Environment("cp311"))
    assert kept.list() == []
    assert kept.verify() == []


@pytest.mark.parametrize("change", [rewrite, replace_by_pipe, replace_by_link, Path.unlink])
def test_a_change_of_the_file_that_is_read_is_refused(
    package: Path, kept: Store, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    during(monkeypatch, "a.py", lambda: change(package / "a.py"))
    with pytest.raises(SourceError, match=r"my_lab/a.py (changed while it was being frozen|cannot be read)"):
        kept.freeze(TreeSource(package), Environment("cp311"))


def test_a_change_by_another_process_is_refused(package: Path, kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append = ["sh", "-c", "echo >> z.py"]
    during(monkeypatch, "z.py", lambda: subprocess.run(append, cwd=package, check=True))
    with pytest.raises(SourceError, match=r"my_lab/z.py changed while it was being frozen"):
        kept.freeze(TreeSource(package), Environment("cp311"))


def test_after_a_change_the_next_freeze_has_it(package: Path, kept: Store) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SourceError):
        during(patch, "z.py", lambda: rewrite(package / "a.py"))
        kept.freeze(TreeSource(package), Environment("cp311"))
    snapshot = kept.freeze(TreeSource(package), Environment("cp311"))
    assert kept.read(snapshot.id, "my_lab/a.py") == b"# A.PY\n"


@pytest.mark.parametrize("name", ["__pycache__/a.cpython-311.pyc", "a.pyc"])
def test_byte_code_that_appears_meanwhile_does_no_harm(
    package: Path, kept: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def import_it() -> None:
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).touch()

    during(monkeypatch, "a.py", import_it)
    assert len(kept.freeze(TreeSource(package), Environment("cp311")).files) == 4


def test_a_pipe_is_refused_by_name(package: Path) -> None:
    os.mkfifo(package / "door")
    with pytest.raises(SourceError, match="my_lab/door is neither a file nor a folder"):
        TreeSource(package).files()


def denied(*_: object, **__: object) -> int:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_file_that_must_not_be_read_is_refused_by_name(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = TreeSource(package).files()
    monkeypatch.setattr(_folder, "_open", denied)
    with pytest.raises(SourceError, match=r"my_lab/__init__.py cannot be read \(Permission denied\)"):
        files[0].read()


def test_a_folder_that_must_not_be_listed_is_refused_by_name(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(SourceError, match=r"my_lab cannot be read \(Permission denied\)"):
        TreeSource(package).files()
