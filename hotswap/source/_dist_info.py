"""The metadata of the projects that frozen packages belong to, for ``importlib.metadata``.

What is installed tells the version of the day it was installed; a snapshot must tell its own. So a ``.dist-info``
folder is written into its tree from the project's ``pyproject.toml``, with all that code asks for but long texts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hotswap.errors import SourceError

Table = Mapping[str, Any]

_SOURCE_FOLDERS: Final = {"src", "lib"}


class Project(NamedTuple):
    """A ``pyproject.toml``, known to people as ``where``, and the top-level name of a package that it is beside."""

    package: str
    where: str
    content: bytes


def places(package: PurePath) -> list[PurePath]:
    """Where the ``pyproject.toml`` of the package in the folder ``package`` may be; the first that is there counts."""
    above = [package.parent, *([package.parent.parent] if package.parent.name in _SOURCE_FOLDERS else [])]
    return [folder / "pyproject.toml" for folder in above]


def of_projects(projects: Iterable[Project]) -> dict[str, bytes]:
    """Files by path below the snapshot root; see ``dist_info``."""
    packages: dict[tuple[str, bytes], list[str]] = {}
    for project in projects:
        packages.setdefault((project.where, project.content), []).append(project.package)
    found: dict[str, bytes] = {}
    for (where, content), names in packages.items():
        found |= dist_info(content, names, where)
    return found


def dist_info(pyproject: bytes, packages: list[str], where: str) -> dict[str, bytes]:
    """Files by path below the snapshot root; none for a project that does not state a name and a version itself.

    ``packages`` are the top-level names that are frozen from the project, ``where`` is what people know the
    ``pyproject.toml`` by. Raises ``SourceError`` when it cannot be read.
    """
    try:
        project = tomllib.loads(pyproject.decode()).get("project", {})
        if not {"name", "version"} <= project.keys():
            return {}
        name, version = str(project["name"]), str(Version(project["version"]))
        files = {
            "METADATA": _metadata(name, version, project),
            "entry_points.txt": _entry_points(project),
            "top_level.txt": sorted(packages),
        }
    except (ValueError, TypeError, AttributeError, InvalidVersion, InvalidRequirement) as problem:
        raise SourceError(
            f"{where} cannot be read ({str(problem).splitlines()[0]}): correct it, it tells the version of the code."
        ) from problem
    folder = f"{canonicalize_name(name).replace('-', '_')}-{version}.dist-info"
    return {f"{folder}/{file}": "".join(f"{line}\n" for line in lines).encode() for file, lines in files.items()}


def _metadata(name: str, version: str, project: Table) -> list[str]:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if "requires-python" in project:
        lines.append(f"Requires-Python: {project['requires-python']}")
    lines += [f"Requires-Dist: {Requirement(text)}" for text in project.get("dependencies", ())]
    for extra, texts in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {canonicalize_name(extra)}")
        lines += [f"Requires-Dist: {_of_extra(Requirement(text), canonicalize_name(extra))}" for text in texts]
    if broken := [line for line in lines if re.search(r"[\r\n]", line)]:
        raise ValueError(f"{broken[0]!r} has more than one line")
    return lines


def _of_extra(requirement: Requirement, extra: str) -> str:
    marker = f"({requirement.marker}) and " if requirement.marker else ""
    requirement.marker = None
    return f"{requirement} ; {marker}extra == '{extra}'"


def _entry_points(project: Table) -> list[str]:
    groups = {
        "console_scripts": project.get("scripts", {}),
        "gui_scripts": project.get("gui-scripts", {}),
        **project.get("entry-points", {}),
    }
    return [line for group, entries in groups.items() if entries for line in _section(group, entries)]


def _section(group: str, entries: Table) -> Iterator[str]:
    yield f"[{group}]"
    yield from (f"{name} = {value}" for name, value in entries.items())
