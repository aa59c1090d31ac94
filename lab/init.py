"""What ``lab init`` does: a new laboratory from the starter, as a git repository that tells of its commits."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib import resources
from importlib.machinery import PathFinder
from importlib.resources.abc import Traversable
from pathlib import Path

from hotswap.errors import HotswapError

from .settings.config import FILE_NAME, RESERVED_PACKAGES

STARTER_PACKAGE = "my_lab"
_BRANCH = "main"
_FALLBACK_IDENTITY = {"user.name": "lab init", "user.email": "lab@localhost"}
_NOT_COPIED = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"})


class InitError(HotswapError):
    """A laboratory cannot be made there."""


def create_lab(target: Path, name: str | None = None, auto_refresh: bool = False) -> Path:
    """Write the starter lab into ``target``, commit it, and return the folder as an absolute path.

    ``name`` is what the lab package is called (default ``my_lab``); the lab itself is called like its folder.
    Raises `InitError`, and leaves things as they were, when the folder is not empty, the name cannot be
    imported or git fails.
    """
    target = target.expanduser().resolve()
    package = _checked_package(STARTER_PACKAGE if name is None else name)
    with ExitStack() as undo:
        _claim(target, undo)
        _write_starter(target, package)
        _write_settings(target / FILE_NAME, target.name, auto_refresh)
        _commit(target)
        undo.pop_all()
    return target


def _checked_package(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InitError(f"a package cannot be called {name!r}: use letters, digits and underscores")
    if name in RESERVED_PACKAGES or name in sys.stdlib_module_names or _is_installed(name):
        raise InitError(f"a package called {name!r} is there already: choose another name")
    return name


def _is_installed(name: str) -> bool:
    here = Path.cwd()
    # What lies in the current folder is not installed, it is only in sight.
    path = [entry for entry in sys.path if entry and Path(entry).resolve() != here]
    spec = PathFinder.find_spec(name, path)
    return spec is not None and spec.origin is not None


def _claim(target: Path, undo: ExitStack) -> None:
    """Take an empty or absent folder; ``undo`` brings it back to that."""
    try:
        if target.is_dir():
            if any(target.iterdir()):
                raise InitError(f"{target} is not empty: name a new or an empty folder")
            undo.callback(_empty, target)
        else:
            created = _topmost_missing(target)
            undo.callback(shutil.rmtree, created, ignore_errors=True)
            target.mkdir(parents=True)
    except OSError as error:
        raise InitError(f"{target} cannot be made ({error.strerror}): name a folder you may write to") from error


def _topmost_missing(path: Path) -> Path:
    while not path.parent.exists():
        path = path.parent
    return path


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write_starter(target: Path, package: str) -> None:
    _copy(resources.files("lab").joinpath("starter"), target, package)


def _copy(source: Traversable, target: Path, package: str) -> None:
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        if entry.name in _NOT_COPIED:
            continue
        destination = target / _renamed(entry.name, package)
        if entry.is_dir():
            _copy(entry, destination, package)
        else:
            destination.write_text(_renamed(entry.read_text(encoding="utf-8"), package), encoding="utf-8")


def _renamed(text: str, package: str) -> str:
    return re.sub(rf"\b{STARTER_PACKAGE}\b", package, text)


def _write_settings(path: Path, name: str, auto_refresh: bool) -> None:
    text = path.read_text(encoding="utf-8")
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    text = re.sub(r'^name = ".*"', lambda _: f'name = "{quoted}"', text, flags=re.MULTILINE)
    text = re.sub(r"^auto_refresh = \w+", f"auto_refresh = {str(auto_refresh).lower()}", text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")


def _commit(target: Path) -> None:
    from hotswap.triggers import install_hook

    _git(target, "init", "--quiet", f"--initial-branch={_BRANCH}")
    _git(target, "add", "--all", "--force")
    _git(target, *_identity(target), "commit", "--quiet", "--message=Start from the starter lab")
    install_hook(target)


def _identity(target: Path) -> list[str]:
    """Options that name an author where the user has not configured one."""
    return [
        option
        for key, value in _FALLBACK_IDENTITY.items()
        if not _git(target, "config", "--default=", "--get", key)
        for option in ("-c", f"{key}={value}")
    ]


def _git(target: Path, *arguments: str) -> str:
    # Variables of a git command this one was started from would lead it to another repository.
    environment = {key: value for key, value in os.environ.items() if not _names_a_repository(key)}
    try:
        ran = subprocess.run(
            ["git", *arguments], cwd=target, env=environment, capture_output=True, text=True, check=True
        )
    except FileNotFoundError as error:
        raise InitError("git is not installed: install it and try again") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or error.stdout.strip() or "no reason given").splitlines()[-1]
        raise InitError(
            f"git refuses to commit the new lab in {target} ({reason}): correct that and try again"
        ) from error
    return ran.stdout.strip()


def _names_a_repository(variable: str) -> bool:
    return variable in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}
