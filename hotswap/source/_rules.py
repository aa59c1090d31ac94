"""What may be frozen: the rules that both kinds of source share, and the sentences that say what breaks them."""

from __future__ import annotations

import os
import posixpath
import site
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from hotswap import _names
from hotswap._names import counts
from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits

_KEEP_OUT = "keep data outside of the package or name them in .gitignore"
_LINK_DEPTH = 16
_POINTER = b"version https://git-lfs.github.com/spec/"


def check_names(packages: Iterable[tuple[str, Path]]) -> None:
    """Raise ``SourceError`` for the first ``(name, folder)`` whose name cannot be imported or is already taken."""
    seen: set[str] = set()
    for name, folder in packages:
        if reason := _objection(name, seen):
            raise SourceError(f"The package in {folder} cannot be frozen as {name!r}: {reason}; rename the folder.")
        seen.add(name)


def _objection(name: str, seen: set[str]) -> str | None:
    if reason := _names.import_objection(name):
        return reason
    if name in seen:
        return "another frozen package has the name"
    if PathFinder.find_spec(name, _site_folders()) is not None:
        return "an installed package has the name"
    return None


@lru_cache(maxsize=1)
def _site_folders() -> list[str]:
    return [*site.getsitepackages(), site.getusersitepackages()]


def kept(paths: Iterable[str], prefix: str, where: str) -> list[str]:
    """Those of ``paths`` that are not byte-code and not in a virtual environment."""
    everything = list(paths)
    environments = tuple(path.removesuffix("pyvenv.cfg") for path in everything if _is_venv_mark(path))
    kept = [path for path in everything if counts(path) and not path.startswith(environments)]
    if not kept:
        raise SourceError(f"There is nothing to freeze in {prefix} of {where}: it is empty or ignored by .gitignore.")
    return kept


def check_paths(paths: Iterable[str], limits: Limits = LIMITS) -> None:
    """Raise ``SourceError`` naming the first of ``paths``, posix and relative, that not every system can keep."""
    files = list(paths)
    if len(files) > limits.files:
        raise SourceError(f"There are {len(files)} files to freeze, more than the {limits.files} allowed: {_KEEP_OUT}.")
    if found := _names.rejected(files):
        path, reason = found
        raise SourceError(f"{path!r} cannot be frozen because {reason}: rename or remove it.")
    for path in files:
        _check_shape(path, limits)
    if clash := _names.clash(files):
        raise SourceError(f"{clash}: rename one of them.")


def _check_shape(path: str, limits: Limits) -> None:
    if (depth := path.count("/") + 1) > limits.depth:
        raise SourceError(f"{path!r} is {depth} levels deep, more than the {limits.depth} allowed: move it up.")
    if len(path) * 4 > limits.path_length and (length := len(path.encode())) > limits.path_length:
        raise SourceError(
            f"{path!r} has {length} bytes, more than the {limits.path_length} allowed: shorten its names."
        )


def check_total(sizes: Iterable[int], limits: Limits = LIMITS) -> None:
    """Raise ``SourceError`` if files of these sizes, in bytes, are too much for one snapshot."""
    total = sum(sizes)
    if total > limits.total_size:
        raise SourceError(
            f"The files to freeze have {total / 2**20:.1f} MiB, more than the {limits.total_size / 2**20:g} MiB "
            f"allowed: {_KEEP_OUT}."
        )


def _is_venv_mark(path: str) -> bool:
    return path.endswith("/pyvenv.cfg")


def follow(path: str, links: Mapping[str, str], entries: Mapping[str, object], shown: str) -> str:
    """The file that ``path`` leads to, itself unless it is a symbolic link; it must be inside the package."""
    if path not in links:
        return path
    target = path
    for _ in range(_LINK_DEPTH):
        if target not in links:
            break
        target = posixpath.normpath(posixpath.join(posixpath.dirname(target), links[target]))
    if target not in entries or target in links or not counts(target):
        raise SourceError(
            f"{shown} is a symbolic link to {links[path]}, which is not a file of the package: "
            "replace the link by a copy."
        )
    return target


def frozen_mode(mode: int) -> int:
    return 0o755 if mode & 0o100 else 0o644


def check_regular(path: str, found: os.stat_result, limits: Limits) -> None:
    if S_ISDIR(found.st_mode):
        raise submodule(path.rstrip("/"))
    if not S_ISREG(found.st_mode):
        raise SourceError(f"{path} is neither a file nor a folder: move it out of the package.")
    check_size(path, found.st_size, limits)


def check_size(path: str, size: int, limits: Limits = LIMITS) -> None:
    if size > limits.file_size:
        raise SourceError(
            f"{path} has {size / 2**20:.1f} MiB, more than the {limits.file_size / 2**20:g} MiB allowed for one file: "
            "keep data that large outside of the package."
        )


def checked(path: str, data: bytes) -> bytes:
    if data.startswith(_POINTER) and len(data) < 1024:
        raise SourceError(
            f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` and freeze the working tree, "
            "or commit the file without LFS."
        )
    return data


def submodule(path: str) -> SourceError:
    return SourceError(
        f"{path} is a git submodule or another repository: copy its files into the package, "
        "or install it as a distribution."
    )


def unreadable(path: str, problem: OSError) -> SourceError:
    return SourceError(f"{path} cannot be read ({problem.strerror}): make it readable or move it away.")
