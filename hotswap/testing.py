"""A pytest plugin: run one function in two versions of a package, and compare what it returns.

Installed with hotswap, it gives tests the fixture ``versions``::

    def test_peaks_are_found_as_before(versions):
        versions("v1.0", ".").within(rel=1e-9).same("my_lab.analysis:peak", [0.1, 0.9, 0.2])

Each version runs in a process of its own, started when it is first asked for and ended with the test session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from hotswap.source import GitSource
    from hotswap.store import Store
    from hotswap.versions import Version

WORKTREE: Final = "."
"""What is on disk now, instead of a revision."""

_SHOWN: Final = 10
_NOT_PACKAGES: Final = {"tests", "test", "docs", "benchmarks"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two settings."""
    parser.addini(
        "hotswap_package", "The folder of the package whose versions are compared, seen from the root folder."
    )
    parser.addini("hotswap_store", "The folder that its snapshots are kept in; pytest's cache unless given.")


@pytest.fixture(scope="session")
def versions(request: pytest.FixtureRequest) -> Iterator[Callable[..., Versions]]:
    """``versions(*revs, package=None)``: the versions of a package that these revisions name, running.

    A revision is what git resolves to a commit, ``"."`` for what is on disk, or the id of a snapshot in the store.
    ``package`` is a folder, seen from the root folder of the tests; the setting ``hotswap_package`` unless given.
    """
    with ExitStack() as closing:
        yield _Workshop(request, closing).versions


@dataclass(frozen=True)
class Running:
    """One version of the package, in a process of its own; ``rev`` is what the test called it."""

    rev: str
    process: Version

    @property
    def snapshot(self) -> str:
        """The id of its snapshot."""
        return self.process.snapshot

    def run(self, function: str, /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``module:function`` in this version; see ``hotswap.Version.run``."""
        return self.process.run(function, *arguments, **keywords)

    def __str__(self) -> str:
        return f"{self.rev} ({self.snapshot[:12]})"


@dataclass(frozen=True)
class Versions:
    """Some versions in the order they were named; unpack it for each, or compare the first with all others."""

    each: tuple[Running, ...]
    rel: float = 0.0
    abs: float = 0.0

    def __iter__(self) -> Iterator[Running]:
        return iter(self.each)

    def __getitem__(self, index: int) -> Running:
        return self.each[index]

    def __len__(self) -> int:
        return len(self.each)

    def within(self, *, rel: float = 0.0, abs: float = 0.0) -> Versions:  # noqa: A002 - as pytest.approx calls it
        """The same, with floats being equal when they differ by at most ``rel`` of the larger one, or by ``abs``."""
        return replace(self, rel=rel, abs=abs)

    def same(self, function: str, /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``module:function`` in each version and return what the last one returned.

        Raises AssertionError, naming each place, where that is not what the first one returned; what the function
        raised when it raised in all of them; and SourceError where there is no version.
        """
        __tracebackhide__ = True
        if not self.each:
            raise _nothing_to_run(function)
        first, *others = [_outcome(version, function, arguments, keywords) for version in self.each]
        for version, outcome in zip(self.each[1:], others, strict=True):
            found = list(self._differences(first, outcome))
            if found:
                raise AssertionError(_told(function, self.each[0], version, found))
        last = (first, *others)[-1]
        if isinstance(last, _Raised):
            raise last.error
        return last

    def _differences(self, old: Any, new: Any) -> Iterator[str]:
        if isinstance(old, _Raised) or isinstance(new, _Raised):
            if old != new:
                yield f"{_shown(old)} -> {_shown(new)}"
            return
        yield from _differences(old, new, "", self._near)

    def _near(self, old: float, new: float) -> bool:
        both_nan = math.isnan(old) and math.isnan(new)
        return both_nan or math.isclose(old, new, rel_tol=self.rel, abs_tol=self.abs)


@dataclass(frozen=True)
class _Raised:
    """That a call raised; two are equal when the kind and the text are."""

    text: str
    error: Exception = field(compare=False)


class _Workshop:
    """Freezes what revisions name and starts a process for each snapshot, once in a session."""

    def __init__(self, request: pytest.FixtureRequest, closing: ExitStack) -> None:
        self._config = request.config
        self._closing = closing
        self._running: dict[str, Version] = {}
        self._new_folder: Callable[[str], Path] = request.getfixturevalue("tmp_path_factory").mktemp

    def versions(self, *revs: str, package: str | Path | None = None) -> Versions:
        folder = self._config.rootpath / (package or self._config.getini("hotswap_package") or self._only_package())
        return Versions(tuple(Running(rev, self._version(rev, folder)) for rev in revs))

    def _version(self, rev: str, folder: Path) -> Version:
        from hotswap.versions import open as open_version

        snapshot = self._snapshot(rev, folder)
        if snapshot not in self._running:
            self._running[snapshot] = self._closing.enter_context(open_version(snapshot, self._store.root))
        return self._running[snapshot]

    def _snapshot(self, rev: str, folder: Path) -> str:
        """Freeze what ``rev`` names, or find it in the store."""
        from hotswap.errors import SourceError, UnknownSnapshotError
        from hotswap.source import TreeSource

        if rev == WORKTREE:
            return self._store.freeze(TreeSource(folder)).id
        try:
            with _git_source(folder, rev) as source:
                return self._store.freeze(source).id
        except SourceError as problem:
            try:
                return self._store.resolve(rev)
            except UnknownSnapshotError:
                raise problem from None

    @cached_property
    def _store(self) -> Store:
        from hotswap.store import Store

        configured = self._config.getini("hotswap_store")
        if configured:
            return Store(self._config.rootpath / configured)
        cache = getattr(self._config, "cache", None)  # absent where the plugin for it is switched off
        return Store(cache.mkdir("hotswap") if cache else self._new_folder("hotswap"))

    def _only_package(self) -> Path:
        from hotswap.errors import SourceError

        root = self._config.rootpath
        places = [folder for base in (root, root / "src") if base.is_dir() for folder in sorted(base.iterdir())]
        found = [one for one in places if (one / "__init__.py").exists() and one.name not in _NOT_PACKAGES]
        if len(found) != 1:
            names = ", ".join(one.name for one in found) or "none"
            raise SourceError(
                f"Which package is meant is not clear, {root} has {names}: set hotswap_package in pytest's settings."
            )
        return found[0]


def _git_source(folder: Path, rev: str) -> GitSource:
    from hotswap.source import GitSource, open_repository

    with open_repository(folder) as repository:
        top = Path(repository.working_tree_dir or repository.git_dir).resolve()
    return GitSource(top, folder.resolve().relative_to(top).as_posix(), rev)


def _outcome(version: Running, function: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    from hotswap.errors import RemoteError

    try:
        return version.run(function, *arguments, **keywords)
    except RemoteError as error:
        return _Raised(f"{error.kind}: {error}", error)


def _differences(old: Any, new: Any, place: str, near: Callable[[float, float], bool]) -> Iterator[str]:
    """Every place where plain data differ, as text."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            here = f"{place}[{key!r}]"
            if key in old and key in new:
                yield from _differences(old[key], new[key], here, near)
            else:
                yield f"{here}: {'gone, was' if key in old else 'new,'} {_shown(old.get(key, new.get(key)))}"
    elif isinstance(old, list) and isinstance(new, list):
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _differences(one, other, f"{place}[{index}]", near)
        if len(old) != len(new):
            yield f"{place or 'the result'}: {len(old)} items -> {len(new)} items"
    elif not _equal(old, new, near):
        yield f"{place or 'the result'}: {_shown(old)} -> {_shown(new)}{_by(old, new)}"


def _equal(old: Any, new: Any, near: Callable[[float, float], bool]) -> bool:
    if _is_number(old) and _is_number(new):
        return near(old, new) if isinstance(old, float) or isinstance(new, float) else bool(old == new)
    return type(old) is type(new) and bool(old == new)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by(old: Any, new: Any) -> str:
    return f" (by {abs(new - old):.3g})" if _is_number(old) and _is_number(new) else ""


def _shown(value: Any) -> str:
    if isinstance(value, _Raised):
        return f"raises {value.text}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _nothing_to_run(function: str) -> Exception:
    from hotswap.errors import SourceError

    return SourceError(f'No revision is named to run {function} in: name some, as in versions("v1.0", ".").')


def _told(function: str, old: Running, new: Running, found: list[str]) -> str:
    lines = [f"{function} is not the same in {old} and {new}:", *(f"  {one}" for one in found[:_SHOWN])]
    if len(found) > _SHOWN:
        lines.append(f"  ... and {len(found) - _SHOWN} more differences")
    return "\n".join(lines)
