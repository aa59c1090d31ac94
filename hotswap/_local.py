"""Distributions installed from a local folder: which folders their code is in, and the digest of its content."""

from __future__ import annotations

import ast
import json
import os
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import importlib_metadata as metadata

from hotswap.digest import Memory, hash_file, hash_tree, stat_key
from hotswap.errors import SourceError

_NOT_CODE = {"setup.py", "conftest.py", "noxfile.py"}
_HOOKS = ("__editable__", "_editable_impl_")  # what editable installs put beside their metadata
_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class Folders:
    """The importable packages and modules of one local distribution, as ``(name, folder or file)``.

    They are where its author edits them or, if ``copied``, where the installer put a copy.
    """

    distribution: str
    places: tuple[tuple[str, Path], ...]
    copied: bool = False

    def modules(self) -> tuple[str, ...]:
        """Their top-level names."""
        return tuple(name for name, _ in self.places)

    def digest(self) -> str:
        """Digest of all files but byte-code and hidden ones; the place of the folders does not count."""
        files = ((f"{_top(name, path)}{below}", full) for name, path in self.places for below, full in _walk(path))
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
    here = Path(str(distribution.locate_file("")))
    url = _direct_url(distribution)
    if "dir_info" in url and not url["dir_info"].get("editable"):
        # Conda tells a folder too, that of the machine that built the package.
        return None if _installer(distribution) == "conda" else Folders(name, _copies(distribution, here), copied=True)
    if "dir_info" in url:
        here = Path(unquote(urlparse(url.get("url", "")).path))
    elif not _is_project(here):
        return None
    return Folders(name, tuple(sorted(_edited(distribution, here))))


def _is_project(folder: Path) -> bool:
    """Whether metadata in a folder are those of a project that is developed there, and not of one installed there."""
    top = folder.parent if folder.name == "src" else folder
    return any((top / file).is_file() for file in ("pyproject.toml", "setup.py"))


def revision(distribution: metadata.IDistribution) -> str | None:
    """The commit, or the hash of the local archive, that it was installed from: its version tells neither."""
    url = _direct_url(distribution)
    found = [url.get("vcs_info", {}).get("commit_id")]
    if str(url.get("url", "")).startswith("file:"):
        archive = url.get("archive_info", {})
        found += [*archive.get("hashes", {}).values(), archive.get("hash")]
    return next((str(one) for one in found if one), None)


def _direct_url(distribution: metadata.IDistribution) -> dict[str, Any]:
    try:
        url = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return url if isinstance(url, dict) else {}


def _installer(distribution: metadata.IDistribution) -> str:
    return (distribution.read_text("INSTALLER") or "").strip()


def _copies(distribution: metadata.IDistribution, site: Path) -> tuple[tuple[str, Path], ...]:
    found = ((name, _locate(name, [site])) for name in _names(distribution))
    return tuple(sorted((name, path) for name, path in found if path))


def _edited(distribution: metadata.IDistribution, project: Path) -> Iterable[tuple[str, Path]]:
    if mapped := dict(_finder_places(distribution)):
        return mapped.items()
    if declared := _hatch_packages(project):
        return ((path.stem, path) for path in declared)
    roots = [*_pth_roots(distribution), project / "src", project]
    if names := _names(distribution):
        return {(name, path) for name in names if (path := _locate(name, roots))}
    found = next((paths for root in roots if (paths := set(_importable(root)))), set())
    return ((path.stem, path) for path in found)


def _names(distribution: metadata.IDistribution) -> set[str]:
    """The top-level names that the metadata tell: declared, or seen in the record of installed files."""
    if declared := (distribution.read_text("top_level.txt") or "").split():
        return set(declared)
    files = [str(file) for file in distribution.files or ()]
    tops = {file.partition("/")[0].removesuffix(".py") for file in files if file.endswith(".py")}
    return {name for name in tops if name.isidentifier() and not name.startswith(_HOOKS)}


def _hatch_packages(project: Path) -> set[Path]:
    try:
        settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {project / package for package in packages if (project / package).exists()}


def _finder_places(distribution: metadata.IDistribution) -> Iterator[tuple[str, Path]]:
    """What the import hook that setuptools installs for an editable project maps names to."""
    for file in distribution.files or ():
        if str(file).startswith("__editable__") and str(file).endswith("_finder.py"):
            mapping = _literal(_text(Path(str(file.locate()))), "MAPPING")
            for name, target in mapping.items() if isinstance(mapping, dict) else ():
                if place := _mapped(str(name).split("."), Path(str(target))):
                    yield place


def _mapped(parts: list[str], target: Path) -> tuple[str, Path] | None:
    """The folder of the top-level name; None where the folders below it have other names than the code imports."""
    path = target if target.exists() else target.with_name(f"{target.name}.py")
    above = len(parts) - 1
    if not path.exists() or list(target.parts[len(target.parts) - above :]) != parts[1:]:
        return None
    return parts[0], [path, *path.parents][above]


def _literal(source: str, name: str) -> object:
    """The literal value that a module assigns to ``name``, or None."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return None
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(one, ast.Name) and one.id == name for one in targets):
            return ast.literal_eval(value)
    return None


def _pth_roots(distribution: metadata.IDistribution) -> Iterator[Path]:
    for file in distribution.files or ():
        if str(file).endswith(".pth"):
            path = Path(str(file.locate()))
            lines = (line.strip() for line in _text(path).splitlines())
            yield from (path.parent / line for line in lines if line and not line.startswith(("#", "import ")))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _locate(name: str, roots: list[Path]) -> Path | None:
    candidates = (path for root in roots for path in (root / name, root / f"{name}.py"))
    return next((path for path in candidates if path.exists()), None)


def _importable(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        return
    for path in root.iterdir():
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.name not in _NOT_CODE):
            yield path


def _top(name: str, path: Path) -> str:
    return name if path.is_dir() else f"{name}{path.suffix}"


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
