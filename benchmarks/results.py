"""What one benchmark hands back: figures for everybody, and tables for whoever wants to know where the time goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.table import Table

from benchmarks.figures import Figure


@dataclass(frozen=True)
class Findings:
    figures: list[Figure]
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Benchmark:
    """``run(quick)`` measures all figures in ``names``; ``quick`` takes fewer samples."""

    about: str
    names: tuple[str, ...]
    run: Callable[[bool], Findings]
