"""What a generation is, wherever it is kept, and what is said when it is not what was expected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
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


class Activations(ABC):
    """Generations, wherever they are kept: what is current, what was, and how that changes."""

    @abstractmethod
    def current(self) -> Generation | None:
        """The generation new work binds to; None before the first promotion."""

    @abstractmethod
    def get(self, number: int) -> Generation:
        """The generation with this number. Raises UnknownGenerationError."""

    @abstractmethod
    def history(self, limit: int = 50) -> list[Generation]:
        """The newest ``limit`` generations, the current one first."""

    @abstractmethod
    def _activate(self, generation: Generation, expected: int | None) -> None:
        """Make it current, or raise GenerationMovedError with nothing changed."""

    def promote(
        self,
        snapshot_id: str,
        *,
        expected: int | None,
        commit: str | None,
        dirty: bool,
        environment: str,
        actor: str,
        reason: str,
        rolled_back_to: int | None = None,
    ) -> Generation:
        """Make a snapshot current, provided that generation ``expected`` (None for none) still is.

        Raises GenerationMovedError, with nothing changed, when it is not.
        """
        generation = Generation(
            number=(expected or 0) + 1,
            snapshot=snapshot_id,
            commit=commit,
            dirty=dirty,
            environment=environment,
            actor=actor,
            reason=reason,
            activated_at=datetime.now(UTC),
            rolled_back_to=rolled_back_to,
        )
        self._activate(generation, expected)
        return generation

    def roll_back(self, to: int, *, expected: int, actor: str, reason: str) -> Generation:
        """Make the snapshot of generation ``to`` current again, as a new generation.

        Raises UnknownGenerationError, or GenerationMovedError when ``expected`` is not the current number.
        """
        old = self.get(to)
        return self.promote(
            old.snapshot,
            expected=expected,
            commit=old.commit,
            dirty=old.dirty,
            environment=old.environment,
            actor=actor,
            reason=reason,
            rolled_back_to=to,
        )

    def _expect(self, expected: int | None) -> Generation | None:
        """The current generation, which must have this number."""
        current = self.current()
        if (current.number if current else None) != expected:
            raise moved(expected, current)
        return current


def moved(expected: int | None, current: Generation | None) -> GenerationMovedError:
    wanted = f"generation {expected}" if expected is not None else "no generation"
    found = f"generation {current.number} by {current.actor} is" if current else "none is"
    return GenerationMovedError(f"Expected {wanted} to be current, but {found}; look at what changed and decide anew.")


def unknown(number: int, current: Generation | None) -> UnknownGenerationError:
    newest = f"the newest is {current.number}" if current else "there is none yet"
    return UnknownGenerationError(f"There is no generation {number}; {newest}.")
