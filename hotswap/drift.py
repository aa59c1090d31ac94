"""Whether what is installed now is what a snapshot was frozen with."""

from __future__ import annotations

from collections.abc import Sequence

from hotswap import roots
from hotswap.environment import Environment, EnvironmentChange, fingerprint, python_tag
from hotswap.errors import DriftError
from hotswap.snapshot import SHORT, Snapshot
from hotswap.store import Store

_SHOWN = 10


class EnvironmentWarning(UserWarning):
    """Code runs with other distributions than it was frozen with."""


def present(store: Store, snapshot: Snapshot) -> Environment:
    """The environment that freezing the same code here and now would record."""
    own = roots.modules(entry.path for entry in snapshot.files)
    return fingerprint(store.imports(snapshot), own)


def drift(store: Store, snapshot: Snapshot) -> tuple[EnvironmentChange, ...]:
    """What has changed, by name, since the snapshot was frozen; empty where it runs as it was frozen."""
    return snapshot.environment.compare(present(store, snapshot))


def check(store: Store, snapshot: Snapshot, *, strict: bool = False) -> tuple[EnvironmentChange, ...]:
    """As ``drift``, for code that is about to run.

    Raises ``DriftError`` if the Python is another one; ``strict``, if anything differs.
    """
    if snapshot.python != python_tag():
        raise DriftError(
            f"Snapshot {snapshot.short_id} was frozen for {snapshot.python}, and this is {python_tag()}: "
            "run it with that Python, or freeze the code again."
        )
    changes = drift(store, snapshot)
    if strict and changes:
        raise DriftError(sentence(snapshot.id, changes))
    return changes


def sentence(snapshot: str, changes: Sequence[EnvironmentChange]) -> str:
    """What has changed since the snapshot with this id was frozen, by name, and what to do."""
    told = ", ".join(str(change) for change in changes[:_SHOWN])
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return (
        f"Snapshot {snapshot[:SHORT]} meets other distributions than it was frozen with ({told}{more}): "
        "install those again, or freeze the code again."
    )
