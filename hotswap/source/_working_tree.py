"""Packages as a working tree has them now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hotswap import roots
from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits
from hotswap.roots import Root
from hotswap.snapshot import Origin
from hotswap.source import _rules
from hotswap.source._on_disk import OnDisk, is_dirty
from hotswap.source._repository import origin_of
from hotswap.source._source import SourceFile


class TreeSource:
    """The package in the folder ``package_dir``, as it is on disk now.

    What ``.gitignore`` ignores, byte-code and virtual environments do not belong to it. ``extra`` are the folders
    of other packages, or modules of a single file, to freeze beside it. Unless ``local`` is false so are the local
    packages that the code imports.
    """

    def __init__(
        self, package_dir: Path, *, extra: tuple[Path, ...] = (), local: bool = True, limits: Limits = LIMITS
    ) -> None:
        self._given = [Root.at(Path(path).absolute()) for path in (package_dir, *extra)]
        for root in self._given:
            if not (root.path.is_dir() or (root.is_module and root.path.is_file() and root is not self._given[0])):
                raise SourceError(f"There is no folder {root.path}: name the folder of a package.")
        _rules.check_names((root.name, root.path) for root in self._given)
        self.package = self._given[0].name
        self._local = local
        self._limits = limits
        self._disk: OnDisk | None = None

    @property
    def origin(self) -> Origin:
        """The commit that was checked out around the package when ``files`` was called; no commit outside of git.

        Dirty if a file of any of the packages differs from what its repository has, or is in none.
        """
        states = self._listed().states()
        if states[0] is None or states[0].commit is None:
            return Origin(dirty=True)
        return replace(origin_of(self._given[0].path, states[0].commit), dirty=any(map(is_dirty, states)))

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders and single files that people edit and that were frozen; asked after freezing."""
        return self._listed().own()

    def files(self) -> list[SourceFile]:
        """All files of the packages on disk."""
        self._disk = OnDisk(self._limits)
        return self._disk.take(self._given)

    def follow(self, imported: frozenset[str]) -> list[SourceFile]:
        """Files of the local packages behind these names; see ``Following``."""
        if not self._local:
            return []
        disk = self._listed()
        new = roots.find(imported, disk.names(), self._given[0].path.parent, roots.Disk())
        return disk.take(new) if new else []

    def check(self) -> None:
        """Raise ``SourceError`` if a file appeared, changed or went away since ``files`` was called."""
        self._listed().check()

    def _listed(self) -> OnDisk:
        if self._disk is None:
            self.files()
        assert self._disk
        return self._disk
