"""Distributions that look installed: the files that an installer writes, without an installer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

FINDER = """\
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

MAPPING: dict[str, str] = {mapping!r}


class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        place = MAPPING.get(name)
        return spec_from_file_location(name, Path(place, "__init__.py")) if place else None


def install():
    sys.meta_path.insert({place}, Finder)
"""


class Site:
    """A folder that installers fill; put it on ``sys.path`` to have its distributions installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def install(
        self,
        name: str,
        version: str = "1.0",
        *,
        requires: tuple[str, ...] = (),
        files: tuple[str, ...] | None = None,
        url: Mapping[str, object] | None = None,
        **told: str,
    ) -> None:
        """A distribution that has one module of its own name unless told otherwise; replaces another version of it.

        ``told`` are further metadata files by name, without ``.txt``.
        """
        self.uninstall(name)
        info = self.folder / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
        (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        recorded = files if files is not None else (f"{name.replace('-', '_')}/__init__.py",)
        for file in recorded:
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).touch()
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in recorded))
        if url is not None:
            (info / "direct_url.json").write_text(json.dumps(url))
        for file, text in told.items():
            (info / (file if file == "INSTALLER" else f"{file}.txt")).write_text(text)

    def install_editable(self, name: str, project: Path, version: str = "1.0", root: Path | None = None) -> None:
        """As most tools do it: a ``.pth`` file puts a folder of the project on the path."""
        (self.folder / f"_{name}.pth").write_text(f"{root or project}\n")
        self.install(name, version, files=(f"_{name}.pth",), url=editable(project))

    def install_with_finder(
        self, name: str, project: Path, mapping: Mapping[str, Path], *, first: bool = False
    ) -> None:
        """As setuptools does it: a ``.pth`` file registers an import hook; ``first``, before the usual ones."""
        finder = f"__editable___{name}_1_0_finder"
        places = {module: str(place) for module, place in mapping.items()}
        text = FINDER.format(mapping=places, place="0" if first else "len(sys.meta_path)")
        (self.folder / f"{finder}.py").write_text(text)
        (self.folder / f"__editable__.{name}-1.0.pth").write_text(f"import {finder}; {finder}.install()\n")
        files = (f"{finder}.py", f"__editable__.{name}-1.0.pth")
        self.install(name, files=files, url=editable(project), top_level="".join(f"{one}\n" for one in mapping))

    def uninstall(self, name: str) -> None:
        """Remove the metadata of whatever version is there."""
        for info in self.folder.glob(f"{name}-*.dist-info"):
            shutil.rmtree(info)


def editable(project: Path) -> dict[str, object]:
    """What an editable install says of where it came from."""
    return {"url": project.as_uri(), "dir_info": {"editable": True}}


def make_package(folder: Path, files: Mapping[str, str]) -> Path:
    """Write text files by path below ``folder``; returns the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
