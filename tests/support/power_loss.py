"""What may be on a disk after the power went: recorded system calls, and a model of what a disk may forget.

The content of a file is safe once the file is flushed; the names in a folder are, once the folder is. Of everything
else, any part may be there or not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hotswap import _disk

Event = tuple[Any, ...]
"""The name of a system call, the paths it works on, relative to the root, and its other arguments."""

Image = dict[str, tuple[bytes, int] | int]
"""Content and mode of each file, the mode alone of a folder, by path."""


class Recorder:
    """Records the system calls that change what is below ``root``."""

    def __init__(self, root: Path) -> None:
        self.events: list[Event] = []
        self._root = f"{root}/"
        self._open: dict[int, str] = {}

    @contextmanager
    def recording(self, *, flush: bool = False) -> Iterator[None]:
        """Inside; flushing is recorded, but not done unless ``flush``: the model does not need it."""
        calls = {name: self._recorded(name) for name in ("link", "rename", "mkdir", "chmod", "unlink", "rmdir")}
        calls |= {"open": self._opened(), "write": self._written(), "fchmod": self._fchmod(), "close": self._closed()}
        calls |= {"fsync": self._fsync(os.fsync if flush else lambda _: None)}
        with patch.multiple(os, **calls), patch.object(_disk, "_syncfs", lambda _: self._add("sync")):
            yield

    def _add(self, name: str, *facts: Any) -> None:
        self.events.append((name, *facts))

    def _relative(self, path: Any) -> str | None:
        full = os.fspath(path)
        return full.removeprefix(self._root) if isinstance(full, str) and full.startswith(self._root) else None

    def _recorded(self, name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            result = call(*arguments, **keywords)
            if self._relative(arguments[0]) is not None:
                self._add(name, *(one if isinstance(one, int) else self._relative(one) for one in arguments))
            return result

        return wrapper

    def _opened(self) -> Callable[..., int]:
        call = os.open

        def wrapper(path: Any, flags: int, *rest: Any, **keywords: Any) -> int:
            new = flags & os.O_CREAT and not os.path.lexists(path)
            descriptor = call(path, flags, *rest, **keywords)
            relative = f"{os.fspath(path)}/".startswith(self._root) and os.fspath(path)[len(self._root) :]
            if relative is not False:
                self._open[descriptor] = relative
                if new:
                    self._add("create", relative)
            return descriptor

        return wrapper

    def _written(self) -> Callable[[int, Any], int]:
        call = os.write

        def wrapper(descriptor: int, data: Any) -> int:
            done = call(descriptor, data)
            if descriptor in self._open:
                self._add("write", self._open[descriptor], bytes(data[:done]))
            return done

        return wrapper

    def _fchmod(self) -> Callable[[int, int], None]:
        call = os.fchmod

        def wrapper(descriptor: int, mode: int) -> None:
            call(descriptor, mode)
            self._add("chmod", self._open[descriptor], mode)

        return wrapper

    def _closed(self) -> Callable[[int], None]:
        call = os.close

        def wrapper(descriptor: int) -> None:
            self._open.pop(descriptor, None)
            call(descriptor)

        return wrapper

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def wrapper(descriptor: int) -> None:
            call(descriptor)
            if descriptor in self._open:
                self._add("fsync", self._open[descriptor])

        return wrapper


@dataclass(eq=False)
class File:
    """``safe`` is what is sure to be there: content and mode."""

    data: bytes = b""
    mode: int = 0o444
    safe: tuple[bytes, int] | None = None

    def flush(self) -> None:
        self.safe = (self.data, self.mode)


@dataclass(eq=False)
class Folder:
    """``safe`` are the names that are sure to be there, ``safe_mode`` is the mode."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)
    mode: int = 0o755
    safe_mode: int = 0o755

    def flush(self) -> None:
        self.safe, self.safe_mode = dict(self.names), self.mode


class ForgetfulDisk:
    """The folder ``root`` as it is now, all of it safe; then events are applied."""

    def __init__(self, root: Path) -> None:
        self._root = _load(root)

    def apply(self, event: Event) -> None:
        name, *facts = event
        getattr(self, f"_{name}")(*facts)

    def images(self) -> Iterator[Image]:
        """Disks that may be found now: with no name that is not safe, with all, and with those of one folder or all
        but one; never with content that is not safe."""
        dirty = [path for path, node in self._walk() if isinstance(node, Folder) and node.names != node.safe]
        yield self.image(lambda path: False)
        yield self.image(lambda path: True)
        for one in dirty:
            yield self.image(lambda path, one=one: path == one)
            yield self.image(lambda path, one=one: path != one)

    def image(self, keeps: Callable[[str], bool]) -> Image:
        """A disk that kept the names of the folders of which ``keeps`` is true, and of the rest only what is safe."""
        found: Image = {}

        def visit(folder: Folder, path: str) -> None:
            for name, node in (folder.names if keeps(path) else folder.safe).items():
                below = f"{path}/{name}".lstrip("/")
                found[below] = node.safe_mode if isinstance(node, Folder) else node.safe or (b"", node.mode)
                if isinstance(node, Folder):
                    visit(node, below)

        visit(self._root, "")
        return found

    def _walk(self) -> Iterator[tuple[str, File | Folder]]:
        todo: list[tuple[str, File | Folder]] = [("", self._root)]
        while todo:
            path, node = todo.pop()
            yield path, node
            if isinstance(node, Folder):
                todo += [(f"{path}/{name}".lstrip("/"), one) for name, one in node.names.items()]

    def _at(self, path: str) -> File | Folder:
        node: File | Folder = self._root
        for name in filter(None, path.split("/")):
            assert isinstance(node, Folder)
            node = node.names[name]
        return node

    def _folder_of(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        folder = self._at(above)
        assert isinstance(folder, Folder)
        return folder, name

    def _create(self, path: str) -> None:
        folder, name = self._folder_of(path)
        folder.names[name] = File()

    def _write(self, path: str, data: bytes) -> None:
        file = self._at(path)
        assert isinstance(file, File)
        file.data += data

    def _chmod(self, path: str, mode: int) -> None:
        self._at(path).mode = mode

    def _mkdir(self, path: str) -> None:
        folder, name = self._folder_of(path)
        folder.names[name] = Folder()

    def _link(self, source: str, destination: str) -> None:
        folder, name = self._folder_of(destination)
        folder.names[name] = self._at(source)

    def _rename(self, source: str, destination: str) -> None:
        self._link(source, destination)
        self._unlink(source)

    def _unlink(self, path: str) -> None:
        folder, name = self._folder_of(path)
        del folder.names[name]

    _rmdir = _unlink

    def _fsync(self, path: str) -> None:
        self._at(path).flush()

    def _sync(self) -> None:
        for _, node in self._walk():
            node.flush()


def _load(root: Path) -> Folder:
    files: dict[int, File] = {}

    def visit(path: Path) -> File | Folder:
        if path.is_dir():
            names = {one.name: visit(one) for one in path.iterdir()}
            folder = Folder(names, mode=path.stat().st_mode & 0o777)
            folder.flush()
            return folder
        found = path.stat()
        file = files.setdefault(found.st_ino, File(path.read_bytes(), found.st_mode & 0o777))
        file.flush()
        return file

    loaded = visit(root)
    assert isinstance(loaded, Folder)
    return loaded


def write_image(image: Image, root: Path) -> None:
    """Make a disk like this below ``root``."""
    root.mkdir()
    for path, file in image.items():
        if isinstance(file, int):
            (root / path).mkdir()
        else:
            (root / path).write_bytes(file[0])
            (root / path).chmod(file[1])
    for path, mode in reversed(image.items()):
        if isinstance(mode, int):
            (root / path).chmod(mode)
