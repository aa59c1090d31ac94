"""What code a class depends on, told from the source of a frozen tree without running it."""

from __future__ import annotations

from hotswap.closure._closure import Closure, Verdict
from hotswap.closure._plan import Scheme

__all__ = ["Closure", "Scheme", "Verdict"]
