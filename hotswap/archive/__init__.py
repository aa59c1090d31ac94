"""Archives: one snapshot as one file, to be moved, kept for years, or mended from.

An archive is an uncompressed POSIX tar. What is in it decides every byte of it, and only those very bytes are accepted
again; so an archive cannot hold anything that its manifest does not tell.
"""

from __future__ import annotations

from hotswap.archive._source import ArchiveSource
from hotswap.archive._travel import export, load

__all__ = ["ArchiveSource", "export", "load"]
