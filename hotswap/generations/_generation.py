"""What a generation is, wherever it is kept, and what is said when it is not what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from hotswap.errors import GenerationMovedError, HotswapError

Document = dict[str, Any]


class UnknownGenerationError(HotswapError):
    """No generation has this number."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One activation of a snapshot. ``rolled_back_to`` is the number of the generation whose snapshot it repeats."""

    number: int
    snapshot: str
    commit: str | None
    dirty: bool
    environment: str
    actor: str
    reason: str
    activated_at: datetime
    rolled_back_to: int | None = None

    def to_dict(self) -> Document:
        """Plain data; the time in ISO 8601."""
        return {**asdict(self), "activated_at": self.activated_at.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Generation:
        """The opposite of ``to_dict``."""
        return cls(**{**data, "activated_at": datetime.fromisoformat(data["activated_at"])})


def moved(expected: int | None, current: Generation | None) -> GenerationMovedError:
    wanted = f"generation {expected}" if expected is not None else "no generation"
    found = f"generation {current.number} by {current.actor} is" if current else "none is"
    return GenerationMovedError(f"Expected {wanted} to be current, but {found}; look at what changed and decide anew.")


def unknown(number: int, current: Generation | None) -> UnknownGenerationError:
    newest = f"the newest is {current.number}" if current else "there is none yet"
    return UnknownGenerationError(f"There is no generation {number}; {newest}.")
