"""Names of files that every system can keep: what a path must not look like, and which two exclude each other."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

_NAME_LENGTH = 255
_CODE_NAME_LENGTH = 230  # its byte-code has a longer name
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\\:*?"<>|]')
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\..*)?", re.IGNORECASE).fullmatch
_NOT_CONTENT = {".git", "__pycache__"}
_OURS = {"hotswap", "lab"}
_RUN_AT_START = {"sitecustomize", "usercustomize"}


def objection(path: str) -> str | None:
    """Why not every system can keep a file at the posix path ``path``, or None if it can."""
    if not counts(path):
        return "byte-code and what belongs to git are never content"
    return next((reason for part in path.split("/") if (reason := _objection(part))), None)


def import_objection(name: str) -> str | None:
    """Why no frozen package or module can be imported as ``name`` on any machine, or None if one can."""
    if not name.isidentifier() or keyword.iskeyword(name):
        return "the name is not a Python identifier"
    if name in _OURS:
        return "the name belongs to the runtime"
    if name in sys.stdlib_module_names:
        return "a module of the Python standard library has the name"
    if name in _RUN_AT_START:
        return "Python runs a module with the name whenever it starts"
    return None


def rejected(paths: Sequence[str]) -> tuple[str, str] | None:
    """The first of ``paths`` that has an ``objection``, with it; None if there is none."""
    parts = set("/".join(paths).split("/"))  # each name once: a tree has tens of thousands of paths
    if not any(_objection(part) for part in parts) and all(map(counts, paths)):
        return None
    return next(((path, reason) for path in paths if (reason := objection(path))), None)


def clash(paths: Iterable[str]) -> str | None:
    """Which two of ``paths``, or of the folders that they are in, exclude each other and why, or None."""
    files = sorted(paths)
    folders = sorted(folders_of(files))
    seen: dict[str, str] = {}
    for name in (*folders, *files):
        key = _folded(name)
        if key in seen:
            return _why(seen[key], name, folders)
        seen[key] = name
    return None


def folders_of(paths: Iterable[str]) -> set[str]:
    """All folders that ``paths`` are in, at any depth."""
    direct = {path.rpartition("/")[0] for path in paths}
    return {folder for path in direct for folder in (path, *_above(path)) if folder}


def counts(path: str) -> bool:
    """Whether a path is content, and not byte-code or git's own."""
    if path.endswith((".pyc", ".pyo")):
        return False
    suspect = "__pycache__" in path or ".git" in path
    return not (suspect and _NOT_CONTENT & set(path.split("/")))


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


@lru_cache(maxsize=1 << 16)
def _objection(name: str) -> str | None:
    if name in {"", ".", ".."}:
        return "it leaves its folder or has an empty part"
    if not _is_text(name):
        return "its name is not valid UTF-8"
    if found := _FORBIDDEN.search(name):
        return f"its name has the character {found[0]!r}, which not every system allows"
    if name.endswith((".", " ")):
        return "its name ends with a dot or a space, which not every system keeps"
    if _RESERVED(name):
        return f"the name {name!r} means a device on Windows"
    length = len(name.encode())
    limit = _CODE_NAME_LENGTH if name.endswith(".py") else _NAME_LENGTH
    return f"a name in it has {length} bytes, more than {limit}" if length > limit else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folded(text: str) -> str:
    """Equal for names that some file systems take for the same."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _why(one: str, other: str, folders: list[str]) -> str:
    if one != other:
        return f"{one!r} and {other!r} differ only in case or Unicode normalisation"
    return f"{one!r} is both a file and a folder" if one in folders else f"{one!r} is there twice"
