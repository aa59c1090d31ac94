"""What is asked of a fleet, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hotswap.process.identity import Identity
from hotswap.process.runs import Run
from hotswap.wire import Address


class Started(NamedTuple):
    """A version process that serves at ``address``; ``instance`` tells it from its predecessors of the same name."""

    name: str
    address: Address
    identity: Identity
    instance: str


@dataclass(frozen=True)
class Wanted:
    """A version process that should run; the fields are the arguments of ``Fleet.ensure``."""

    name: str
    snapshot: str
    entry: str
    arguments: dict[str, Any] = field(default_factory=dict)


def started(run: Run) -> Started:
    return Started(run.name, run.address, run.identity, run.instance)
