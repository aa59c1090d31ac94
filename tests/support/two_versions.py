"""Two versions of one package, each in a process of its own, which answer side by side."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import hotswap

WORDS = ("v1", "v2")
WAYS = {
    "forked": "",
    "spawned": "import threading\n\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
}
"""How processes are made of a version whose package has this in one of its modules."""

PROJECTS = {"conform": "conform", "conform_space": "Conform-Tools"}
"""The packages that are frozen together, each with the name of the project that it is in."""

NATIVE = {
    "_decimal": {b"C decimal arithmetic": b"v1decimal arithmetic", b"decimal.": b"conform."},
    "_zoneinfo": {
        b"C implementation of the zoneinfo": b"v1implementation of the zoneinfo",
        b"zoneinfo._common": b"conform.tzcommon",
        b"zoneinfo._tzpath": b"conform.tzcommon",
    },
}
"""Extension modules that come with Python, and words in them: each is replaced by one of the same length."""

COMPILED = {"multi_phase": "-DMULTI_PHASE", "single_phase": "-DSINGLE_PHASE"}


def write_version(sources: Path, folder: Path, word: str, way: str) -> hotswap.TreeSource:
    """The packages in ``sources``, written below ``folder``: every "v1" in them, also in their names, is ``word``."""
    for package, distribution in PROJECTS.items():
        project = folder / distribution
        shutil.copytree(sources / package, project / package, ignore=shutil.ignore_patterns("__pycache__"))
        (project / "pyproject.toml").write_text(f'[project]\nname = "{distribution}"\nversion = "1.0+v1"\n')
    main, space = (folder / distribution / package for package, distribution in PROJECTS.items())
    with (main / "way.py").open("a") as module:
        module.write(WAYS[way])
    _add_native(main / "native")
    if why_not_compiled() is None:
        shutil.copy(sources / "compiled" / "compiled.py", main)
        _compile(sources / "compiled" / "compiled.c", main / "native")
    _say(word, folder)
    return hotswap.TreeSource(main, extra=(space,))


def why_not_compiled() -> str | None:
    """What is missing to compile extension modules here; None if nothing is."""
    if shutil.which("gcc") is None:
        return "there is no gcc"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python's header files are not installed"
    return None


def _add_native(folder: Path) -> None:
    for name, words in NATIVE.items():
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, f"this Python has no library {name}"
        library = Path(spec.origin)
        content = library.read_bytes()
        for old, new in words.items():
            assert old in content and len(old) == len(new)
            content = content.replace(old, new)
        (folder / library.name).write_bytes(content)


def _compile(source: Path, folder: Path) -> None:
    include, suffix = sysconfig.get_paths()["include"], sysconfig.get_config_var("EXT_SUFFIX")
    for name, option in COMPILED.items():
        library = folder / f"{name}{suffix}"
        subprocess.run(["gcc", "-shared", "-fPIC", f"-I{include}", option, source, "-o", library], check=True)


def _say(word: str, folder: Path) -> None:
    for path in list(folder.rglob("*v1*")):
        path.rename(path.with_name(path.name.replace("v1", word)))
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"v1", word.encode()))


@dataclass(frozen=True)
class Both:
    """The two versions, in processes of one way."""

    way: str
    store: Path
    versions: Sequence[hotswap.Version]

    def another(self) -> hotswap.Version:
        """One more process of the first version, for the caller to close."""
        return hotswap.open(self.versions[0].snapshot, self.store)

    def run(self, function: str, *arguments: Any) -> list[Any]:
        """What each of the two answers, asked at once, and again one after the other with the same result."""
        start = Barrier(len(self.versions))

        def ask(version: hotswap.Version) -> Any:
            start.wait()
            return version.run(function, *arguments)

        with ThreadPoolExecutor(len(self.versions)) as pool:
            at_once = list(pool.map(ask, self.versions))
        assert [version.run(function, *arguments) for version in self.versions] == at_once
        return at_once
