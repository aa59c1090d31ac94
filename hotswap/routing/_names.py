"""What a queue is called."""

from __future__ import annotations

import re

from hotswap.errors import HotswapError

_APP = re.compile(r"[A-Za-z0-9_-]+")
_SNAPSHOT = re.compile(r"[0-9a-f]{12,}")


class RoutingError(HotswapError):
    """A message cannot be routed: a bad name, an unusable broker URL, or a broker that does not answer."""


def queue_name(app: str, snapshot_id: str) -> str:
    """The queue of one snapshot of one application; several applications can share a broker."""
    if not _APP.fullmatch(app):
        raise RoutingError(
            f"{app!r} cannot be part of a queue name; use letters, digits, '-' and '_' for the application's name."
        )
    if not _SNAPSHOT.fullmatch(snapshot_id):
        raise RoutingError(f"{snapshot_id!r} is no snapshot id; give at least 12 hexadecimal digits.")
    return f"hotswap.{app}.{snapshot_id[:12]}"
