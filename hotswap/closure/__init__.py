"""What code a class depends on, told from the source of a frozen tree without running it.

Source tells what code may do when modules are imported and when the class is used; whatever cannot be told makes the
answer coarser. Not seen: what code outside the closure changes long after the import, and what importing a library
changes in another library.
"""

from __future__ import annotations

from hotswap.closure._closure import Closure, Verdict
from hotswap.closure._plan import Scheme

__all__ = ["Closure", "Scheme", "Verdict"]
