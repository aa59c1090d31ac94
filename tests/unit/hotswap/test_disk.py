"""The store changes the disk through one module, whose steps the crash tests count; they do what they say."""

from __future__ import annotations

import ast
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest
from forgetful_disk import STEPS

from hotswap import _disk

HOTSWAP = Path(_disk.__file__).parent
MODULES = sorted((HOTSWAP / "store").glob("*.py"))
FOLDERS = {"mkdir", "rename", "unlink", "rmdir", "chmod"}
PATHS = {"write_bytes", "write_text", "touch", "symlink_to", "hardlink_to", "lchmod"}
OS = {"write", "replace", "remove", "link", "symlink", "makedirs", "removedirs", "truncate", "utime", "fchmod", "fsync"}
OS |= {"sync", "ftruncate", "mkfifo", "mknod", "chown", "setxattr", "sendfile", "copy_file_range"}
FLAGS = {"O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC", "O_APPEND"}


def changes(source: str) -> Iterator[str]:
    """The calls in a module that may change the disk, other than through ``_disk``."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute):
            owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
            if owner != "_disk" and _changes(owner, call.func.attr, call):
                yield ast.unparse(call)
        elif isinstance(call.func, ast.Name) and call.func.id == "open" and _writes(call):
            yield ast.unparse(call)


def _changes(owner: str, name: str, call: ast.Call) -> bool:
    if owner in {"shutil", "tempfile"} or name in FOLDERS | PATHS:
        return True
    if owner == "os":
        opens = name == "open" and any(isinstance(one, ast.Attribute) and one.attr in FLAGS for one in ast.walk(call))
        return name in OS or opens
    return (name == "replace" and len(call.args) == 1) or (name == "open" and _writes(call))


def _writes(call: ast.Call) -> bool:
    modes = [*call.args, *(keyword.value for keyword in call.keywords)]
    texts = [one.value for one in modes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return any(len(text) <= 3 and set(text) & set("wax+") for text in texts)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_store_changes_the_disk_only_through_one_module(module: Path) -> None:
    assert list(changes(module.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "path.write_bytes(b'')",
        "os.rename(a, b)",
        "path.replace(other)",
        "(folder / name).mkdir()",
        "shutil.rmtree(tree)",
        "open(path, 'wb')",
        "path.open('ab')",
        "path.open(mode='x')",
        "os.open(path, os.O_RDWR | os.O_CREAT)",
        "os.fsync(descriptor)",
    ],
)
def test_other_ways_of_changing_the_disk_would_be_found(source: str) -> None:
    assert list(changes(source))


def test_every_function_that_changes_the_disk_is_a_step_or_made_of_steps() -> None:
    tree = ast.parse(Path(_disk.__file__).read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    assert functions == {*STEPS, "flush", "make_folders", "replace"}


def test_a_new_file_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        _disk.write(f"{tmp_path}/a", b"content")
        _disk.copy(f"{tmp_path}/a", f"{tmp_path}/b", 0o555)
    finally:
        os.umask(before)
    assert [S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o444, 0o555]
    assert (tmp_path / "b").read_bytes() == b"content"


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        _disk.write(f"{tmp_path}/a", b"new")
    with pytest.raises(FileExistsError):
        _disk.copy(f"{tmp_path}/a", f"{tmp_path}/a", 0o444)
    assert (tmp_path / "a").read_bytes() == b"old"


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    _disk.unlink(f"{tmp_path}/nothing")
    _disk.rmdir(f"{tmp_path}/nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_few_files_are_flushed_one_by_one_and_many_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_disk, "fsync", lambda path: calls.append(f"fsync {path}"))
    monkeypatch.setattr(_disk, "sync", lambda path: calls.append(f"sync {path}"))
    _disk.flush(["a", "b"])
    assert calls == ["fsync a", "fsync b"]
    calls.clear()
    _disk.flush(map(str, range(1000)))
    assert calls == ["sync 0"]


def test_an_error_while_flushing_everything_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    _disk.sync(str(tmp_path))
    monkeypatch.setattr(_disk, "_libc_syncfs", lambda: refuse)
    with pytest.raises(OSError, match="Input/output error"):
        _disk.sync(str(tmp_path))


def test_where_one_file_system_cannot_be_flushed_alone_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_disk, "_libc_syncfs", lambda: None)
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))
    _disk.sync(str(tmp_path))
    assert calls == ["sync"]
