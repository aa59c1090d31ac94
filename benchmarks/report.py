"""The figures as a table for people and as ``results.json`` for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from benchmarks.figures import Figure, significant

RESULTS: Final = Path(__file__).with_name("results.json")


def table(figures: Sequence[Figure]) -> Table:
    """One row per figure; a limit that was missed is named."""
    made = Table(title="Benchmarks")
    made.add_column("figure", no_wrap=True)
    for column in ("value", "n", "ratio"):
        made.add_column(column, justify="right")
    made.add_column("compared with")
    for figure in figures:
        ratio = f"{significant(figure.ratio, 3):g}"
        made.add_row(
            figure.name,
            f"{significant(figure.value, 3):g} {figure.unit}",
            str(figure.n),
            f"[red]{ratio} missed[/red]" if figure.missed else ratio,
            figure.reference.text,
        )
    return made


def write(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Put the figures into ``path``; those of other names that are there already stay."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known.update({figure.name: figure.to_dict() for figure in figures})
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
