"""How much one snapshot may hold."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused rather than frozen: more than this is data of a lab, not code, and belongs elsewhere.

    Sizes are in bytes; ``depth`` counts the parts of a path, the package among them; ``path_length`` is that of the
    path below the snapshot root in UTF-8.
    """

    file_size: int = 64 * _MIB
    total_size: int = 1024 * _MIB
    files: int = 100_000
    depth: int = 32
    path_length: int = 1024


LIMITS = Limits()
"""The limits that hold unless others are given."""
