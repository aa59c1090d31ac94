"""Where code to freeze comes from: a git commit, read from git objects, a working tree, or another snapshot."""

from __future__ import annotations

from hotswap.source._commit import GitSource
from hotswap.source._fetch import fetch
from hotswap.source._repository import open_repository, repository_around
from hotswap.source._source import Following, Source, SourceFile
from hotswap.source._stored import StoredSource
from hotswap.source._trust import is_on_branch, signature_objection
from hotswap.source._working_tree import TreeSource

__all__ = [
    "Following",
    "GitSource",
    "Source",
    "SourceFile",
    "StoredSource",
    "TreeSource",
    "fetch",
    "is_on_branch",
    "open_repository",
    "repository_around",
    "signature_objection",
]
