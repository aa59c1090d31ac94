"""How long a commit took to go live, from the moment the branch moved; read from git and from the refresh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from lab.demo.repository import Commit
from lab.records import Document

# The times of files come from a clock that the kernel advances only every few milliseconds, and the database keeps
# milliseconds.
CLOCK_STEP: Final = timedelta(milliseconds=12)


@dataclass(frozen=True)
class Timing:
    """What became of a commit, and the moments on its way."""

    commit: Commit
    outcome: str
    generation: int | None
    moments: dict[str, datetime]

    @property
    def seconds(self) -> float:
        """From the commit to the last step its refresh came to."""
        return (list(self.moments.values())[-1] - self.commit.at).total_seconds()

    @property
    def phases(self) -> dict[str, float]:
        """Seconds each step took, the notice of the commit first."""
        moments = [self.commit.at, *self.moments.values()]
        return {
            step: (after - before).total_seconds()
            for step, (before, after) in zip(self.moments, pairwise(moments), strict=True)
        }

    def faults(self) -> Iterator[str]:
        """What cannot be true of these moments, one sentence each."""
        for step, seconds in self.phases.items():
            if seconds < -CLOCK_STEP.total_seconds():
                yield f"commit {self.commit.hash[:12]}: {step} took {seconds:.3f} s, less than no time"


def timing_of(commit: Commit, refresh: Document) -> Timing:
    """The timing told by the document of a refresh that has ended."""
    moments = {step["step"]: step["at"] for step in refresh["steps"]}
    return Timing(commit, refresh["outcome"], refresh.get("generation"), moments)
