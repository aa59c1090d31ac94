"""What code a class depends on, told from the source of a frozen tree without running it.

1. Each file becomes *facts*, kept by content: its imports, definitions and what it does when it runs (``_parse``).
2. Names are followed through packages to the modules they mean: the *graph* of who uses whom (``_tree``, ``_graph``).
3. What importing each module may change in others are its *touches* (``_touch``).
4. The *plan* is the closest look that misses nothing that uses and touches tell (``_plan``).
5. Its *evidence* is hashed into a verdict (``_closure``); two of them are compared in words (``_explain``).

Not seen: what code outside the closure changes long after the import, and what importing a library changes in another
library.
"""

from __future__ import annotations

from hotswap.closure._closure import Closure, Verdict
from hotswap.closure._explain import Cause, Explanation, explain
from hotswap.closure._plan import Scheme
from hotswap.closure._route import Step

__all__ = ["Cause", "Closure", "Explanation", "Scheme", "Step", "Verdict", "explain"]
