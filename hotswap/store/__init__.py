"""The content-addressed store of snapshots.

``objects/`` holds each distinct content once, ``trees/<id>/`` the importable tree of each snapshot, and
``manifests/<id>.json``, published last, makes a snapshot exist. Readers take no lock; writers take turns.
"""

from __future__ import annotations

from hotswap.store._checks import Damage
from hotswap.store._progress import Progress
from hotswap.store._repairing import Copy
from hotswap.store._retention import Decision, Retention
from hotswap.store._store import Frozen, Owner, Store

__all__ = ["Copy", "Damage", "Decision", "Frozen", "Owner", "Progress", "Retention", "Store"]
