"""What a source is: something whose files can be frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

from hotswap.roots import Root
from hotswap.snapshot import Origin
from hotswap.source._dist_info import Project, of_projects


class SourceFile(NamedTuple):
    """A file to freeze: posix ``path`` below the snapshot root, mode 0o644 or 0o755.

    ``key`` names the content for as long as it is the same, so that it need not be read again (None: it must).
    ``read`` gives the content, or raises ``SourceError``.
    """

    path: str
    mode: int
    key: str | None
    read: Callable[[], bytes]


class Source(Protocol):
    """Something that can be frozen."""

    @property
    def package(self) -> str:
        """The name it is imported under."""

    @property
    def origin(self) -> Origin:
        """Where the content comes from, as far as known."""

    def files(self) -> list[SourceFile]:
        """All files that belong to it; raises ``SourceError`` naming the first that cannot be frozen."""

    def check(self) -> None:
        """Raise ``SourceError`` if it moved since ``files`` was called."""


@runtime_checkable
class Following(Protocol):
    """A source that takes in the local packages that its code imports."""

    def follow(self, imported: frozenset[str]) -> list[SourceFile]:
        """Files of the local packages behind these top-level names; until ``files`` is called again they belong to it.

        One at a path that was given before takes its place. Empty when nothing new is found. Raises ``SourceError``
        naming the first that cannot be frozen.
        """


def tops(known: list[Root], new: list[Root]) -> set[str]:
    """Stand for the files of known packages when those of new ones, which may be parts of them, are checked."""
    return {root.top for root in known}.difference(root.top for root in new)


def metadata(projects: Iterable[Project]) -> list[SourceFile]:
    """What ``importlib.metadata`` will find beside the packages."""
    return [SourceFile(path, 0o644, None, partial(bytes, data)) for path, data in of_projects(projects).items()]
