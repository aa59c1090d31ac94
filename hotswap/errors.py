"""The errors of hotswap: each is one sentence that says what, where and what to do."""

from __future__ import annotations


class HotswapError(Exception):
    """Root of all errors raised on purpose; its text can be shown to a person as it is."""


class SourceError(HotswapError):
    """What should be frozen cannot be frozen."""


class MovedError(SourceError):
    """What should be frozen changed meanwhile; the same request may succeed later."""


class ArchiveError(SourceError):
    """An archive cannot be written, or is not what it should be."""


class StoreError(HotswapError):
    """The store refuses a request."""


class ManifestError(StoreError):
    """A manifest does not describe a snapshot; ``reason`` is what it says, as a clause for other sentences."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"A manifest cannot be used, because {reason}: freeze the code again, or take it from a copy.")
        self.reason = reason


class UnknownSnapshotError(StoreError):
    """No snapshot, or more than one, answers to an id."""


class DamagedError(StoreError):
    """Content in the store does not hash to its name."""


class ProcessError(HotswapError):
    """A version process could not be started, reached or stopped."""


class NoRoomError(ProcessError):
    """The process ``name`` does not fit into the memory there is for all; it may when others have ended."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class UnreachableError(ProcessError):
    """Who should answer does not; the same request may succeed later."""


class DescribeError(HotswapError):
    """A snapshot does not import or describe itself.

    ``path`` is relative to the snapshot's tree (None when no file is to blame), ``line`` counts from 1.
    """

    def __init__(self, message: str, path: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line

    def wire_detail(self) -> dict[str, object]:
        return {"path": self.path, "line": self.line}


class UnknownClassError(HotswapError):
    """No version has a class of this name."""


class DriftError(DescribeError):
    """A snapshot would run in another environment than it was frozen with."""


class RemoteError(HotswapError):
    """The other side of a connection raised; ``kind`` is the class name it raised, ``detail`` its plain data."""

    def __init__(self, message: str, kind: str = "", detail: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = detail or {}


class NotPlainError(HotswapError):
    """Something that should go from one process to another is more than plain data."""


class GenerationMovedError(HotswapError):
    """Somebody else promoted meanwhile; look at the current generation and decide anew."""
