"""Version processes: one process, one snapshot, imported under its own plain name.

A *zygote* has the heavy imports done; a *template* is forked from it and imports one snapshot; *workers* and *driver
processes* are forked from the template. No running process ever changes its code.
"""

from __future__ import annotations

from hotswap.process.context import Context, serve
from hotswap.process.identity import DeathWatch, Identity

__all__ = ["Context", "DeathWatch", "Identity", "serve"]
