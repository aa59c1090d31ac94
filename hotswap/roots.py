"""The local packages that code imports, and where their code is.

They are frozen beside the code, so that each version brings its own. Local is what an installed version number does
not tell: a distribution installed from a folder, and an importable folder or file that was not installed at all.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple, Protocol

from hotswap._installed import Installed, installed, is_target
from hotswap._local import Folders
from hotswap.errors import SourceError

NEVER = frozenset({"hotswap", "lab"})
"""The runtime itself, which every version shares."""

_NOT_SHIPPED = {"tests", "test", "docs", "examples", "benchmarks", "scripts", "tools", "build", "dist"}


class Root(NamedTuple):
    """A package, or a module of a single file, that is frozen as ``name``; ``copied`` if an installer put it there."""

    name: str
    path: Path
    copied: bool = False

    @classmethod
    def at(cls, path: Path) -> Root:
        """What is imported from this folder, or this ``.py`` file."""
        return cls(path.stem if path.suffix == ".py" else path.name, path)

    @property
    def is_module(self) -> bool:
        """Whether it is a single file."""
        return self.path.suffix == ".py"

    @property
    def top(self) -> str:
        """The first part of the paths that its files have in a snapshot."""
        return f"{self.name}.py" if self.is_module else self.name


class View(Protocol):
    """What a search sees: the disk, or a commit in the place of a working tree. Paths are absolute."""

    def is_file(self, path: Path) -> bool:
        """Whether there is a file."""

    def holds_code(self, folder: Path) -> bool:
        """Whether there is a folder with Python files in it or below."""


class Disk:
    """What is there now."""

    def is_file(self, path: Path) -> bool:
        return path.is_file()

    def holds_code(self, folder: Path) -> bool:
        return any(name.endswith(".py") for _, _, names in os.walk(folder) for name in names)


def find(imported: Iterable[str], known: Iterable[str], home: Path, view: View) -> list[Root]:
    """The local packages behind these top-level names, for code whose package lies in the folder ``home``.

    A name is looked for in ``home``, among the local distributions and, where nothing else that is installed has it,
    in the top folder of the repository, in ``src`` there, and on ``sys.path``. What local distributions require and is
    local counts too. Names that are ``known`` are frozen already. Raises ``SourceError`` for a name that is both in
    ``home`` and installed, and for a distribution whose folder ``view`` lacks.
    """
    never = sys.stdlib_module_names | NEVER
    names = frozenset(name for name in (*imported, *known) if name.isidentifier()) - never
    now = installed()
    search = _Search(now, home, view)
    wanted = names.difference(known)
    found = {root.name: [root] for name in wanted if (root := search.beside(name))}
    for root in _distributed(now, names):
        if root.name not in {*found, *known}:
            _check_seen(root, view)
            found[root.name] = [root]
    for name in wanted.difference(found):
        found[name] = search.elsewhere(name)
    return [root for name in sorted(found) for root in found[name]]


def modules(paths: Iterable[str]) -> frozenset[str]:
    """Top-level names of what a snapshot with files at these paths imports from itself."""
    return frozenset(path.partition("/")[0].removesuffix(".py") for path in paths)


def working_tree(folder: Path) -> Path | None:
    """The top folder of the repository that is checked out around ``folder``."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


def _distributed(now: Installed, imported: frozenset[str]) -> Iterator[Root]:
    for folders in now.local(imported):
        yield from _of_distribution(folders, imported)


def _of_distribution(folders: Folders, imported: frozenset[str]) -> Iterator[Root]:
    """What is imported of it; all that it ships if it is only required, as plugins are."""
    names = set(folders.modules())
    if names & NEVER:
        return
    wanted = names & imported or names - _NOT_SHIPPED
    yield from (Root(name, path, folders.copied) for name, path in folders.places if name in wanted)


def _check_seen(root: Root, view: View) -> None:
    if not (root.copied or view.is_file(root.path) or view.holds_code(root.path)):
        raise SourceError(
            f"The code imports {root.name}, which is installed from {root.path}, but the commit to freeze does not "
            "have that: commit it, or name where the commit has it with --extra."
        )


class _Search:
    """Finds what is importable without being a distribution."""

    def __init__(self, now: Installed, home: Path, view: View) -> None:
        self._now = now
        self._view = view
        self._home = [home] if _is_searched(home) else []
        top = working_tree(home)
        around = [top, top / "src"] if top else []
        on_path = (Path(entry).absolute() for entry in sys.path)
        self._places = [place for place in dict.fromkeys((*self._home, *around, *on_path)) if _is_searched(place)]

    def beside(self, name: str) -> Root | None:
        """The package or module in the same folder as the code that imports it."""
        path = self._regular(name, self._home)
        if path and self._is_taken(name):
            raise SourceError(f"The code imports {name}, which is both {path} and installed: rename the one of yours.")
        return Root(name, path) if path else None

    def elsewhere(self, name: str) -> list[Root]:
        """The package or module on the path, or all parts of a namespace package; empty if there is none."""
        if self._is_taken(name):
            return []
        if path := self._regular(name, self._places):
            return [Root(name, path)]
        return [Root(name, place / name) for place in self._places if self._view.holds_code(place / name)]

    def _is_taken(self, name: str) -> bool:
        """Whether something installed that is not local has it."""
        return self._now.provides(name) or _is_regular(name)

    def _regular(self, name: str, places: Sequence[Path]) -> Path | None:
        for place in places:
            if self._view.is_file(place / name / "__init__.py"):
                return place / name
            if self._view.is_file(place / f"{name}.py"):
                return place / f"{name}.py"
        return None


def _is_regular(name: str) -> bool:
    """Whether the interpreter's own folders have it, not counting parts of namespace packages."""
    spec = PathFinder.find_spec(name, list(_standard_folders()))
    return spec is not None and spec.origin is not None


def _is_searched(folder: Path) -> bool:
    """Not where the interpreter has its library, nor where installers put what they install."""
    path = str(folder)
    return path not in _standard_folders() and not path.endswith(".zip") and not is_target(path)


@lru_cache(maxsize=1)
def _standard_folders() -> tuple[str, ...]:
    """Where the interpreter keeps its library, and installers what they install."""
    paths = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts"))
    dynamic = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")  # noqa: PTH118 - a string like the others
    return tuple(dict.fromkeys((*paths, dynamic, *site.getsitepackages(), site.getusersitepackages())))
