"""Distributions installed from a local folder: which folders their code is in, and the digest of its content."""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import importlib_metadata as metadata

from hotswap.digest import Memory, hash_file, hash_tree, stat_key
from hotswap.errors import SourceError

_NOT_CODE = {"setup.py", "conftest.py", "noxfile.py"}
_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class Folders:
    """The importable packages and modules of one local distribution."""

    distribution: str
    paths: tuple[Path, ...]

    def modules(self) -> tuple[str, ...]:
        """Their top-level names."""
        return tuple(path.stem for path in self.paths)

    def digest(self) -> str:
        """Digest of all files but byte-code and hidden ones; the place of the folders does not count."""
        files = ((f"{path.name}{relative}", full) for path in self.paths for relative, full in _walk(path))
        return hash_tree((relative, self._hash(full)) for relative, full in files)

    def _hash(self, path: str) -> str:
        try:
            key = stat_key(path, os.stat(path), time.time_ns())  # noqa: PTH116 - called for each file and freeze
            known = _MEMORY.get(key) if key else None
            digest = known if isinstance(known, str) else hash_file(Path(path))
        except OSError as problem:
            raise SourceError(
                f"The file {path} of the local distribution {self.distribution} cannot be read "
                f"({problem.strerror}): make it readable or remove it."
            ) from problem
        if key:
            _MEMORY.update({key: digest})
        return digest


def folders(distribution: metadata.IDistribution) -> Folders | None:
    """Where the code of a distribution is, or None if it was not installed from a local folder."""
    name = distribution.metadata["Name"]
    project = _project(distribution)
    if project is None:
        return None
    paths = _editable_paths(distribution, project)
    return Folders(name, tuple(sorted(paths)))


def _project(distribution: metadata.IDistribution) -> Path | None:
    """The folder it was installed from; for a path install that is not editable, where its copy is."""
    url = json.loads(distribution.read_text("direct_url.json") or "{}")
    if "dir_info" in url:
        if url["dir_info"].get("editable"):
            return Path(unquote(urlparse(url["url"]).path))
        return Path(str(distribution.locate_file("")))
    beside = Path(str(distribution.locate_file("")))
    developed = (beside / "pyproject.toml").is_file() or (beside / "setup.py").is_file()
    return beside if developed else None


def _editable_paths(distribution: metadata.IDistribution, project: Path) -> set[Path]:
    if declared := _hatch_packages(project):
        return declared
    roots = [*_pth_roots(distribution), project / "src", project]
    if names := _names(distribution):
        return {path for name in names if (path := _locate(name, roots))}
    return next((paths for root in roots if (paths := set(_importable(root)))), set())


def _names(distribution: metadata.IDistribution) -> set[str]:
    """The top-level names that the metadata tell: declared, or seen in the record of installed files."""
    if declared := (distribution.read_text("top_level.txt") or "").split():
        return set(declared)
    files = [str(file) for file in distribution.files or ()]
    tops = {file.partition("/")[0].removesuffix(".py") for file in files if file.endswith(".py")}
    return {name for name in tops if not name.startswith("_")}  # those are the finders of editable installs


def _hatch_packages(project: Path) -> set[Path]:
    try:
        settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {project / package for package in packages if (project / package).exists()}


def _pth_roots(distribution: metadata.IDistribution) -> Iterator[Path]:
    for file in distribution.files or ():
        if str(file).endswith(".pth"):
            lines = Path(str(file.locate())).read_text(encoding="utf-8").splitlines()
            yield from (Path(line) for line in lines if Path(line).is_absolute())


def _locate(name: str, roots: list[Path]) -> Path | None:
    candidates = (path for root in roots for path in (root / name, root / f"{name}.py"))
    return next((path for path in candidates if path.exists()), None)


def _importable(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        return
    for path in root.iterdir():
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.name not in _NOT_CODE):
            yield path


def _walk(path: Path) -> Iterator[tuple[str, str]]:
    """``(path below, full path)`` of each file that counts; the first is empty for a single-file module."""
    if path.is_file():
        yield "", str(path)
        return
    todo = [("", str(path))]
    while todo:
        prefix, folder = todo.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name.endswith(".pyc"):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    todo.append((f"{prefix}/{entry.name}", entry.path))
                elif entry.is_file():
                    yield f"{prefix}/{entry.name}", entry.path
