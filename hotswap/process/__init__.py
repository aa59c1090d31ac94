"""Version processes: one process, one snapshot, imported under its own plain name."""

from __future__ import annotations

from hotswap.process.identity import DeathWatch, Identity

__all__ = ["DeathWatch", "Identity"]
