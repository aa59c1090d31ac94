"""What the tables have in common, and how times, versions and states are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

Document = dict[str, Any]
Column = tuple[str, Callable[[Document], object]]

_IDS: Final = ("task", "experiment", "sample", "prompt", "held by", "state", "status", "code version")
"""Columns whose cells are never broken: they are copied, or searched for."""

_NOTE_WIDTH: Final = 32
_STYLES: Final = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "ERROR": "red",
    "LOST": "bold red",
    "ABANDONED": "bold red",
    "CANCELLED": "yellow",
    "free": "green",
    "granted": "cyan",
    "error": "red",
    "rebinding": "yellow",
    "current": "green",
    "draining": "yellow",
    "rejected": "red",
    "stranded": "bold red",
    "queued": "yellow",
    "restarting": "red",
}


def show(
    console: Console,
    title: str,
    rows: Iterable[Document],
    columns: list[Column],
    note: Callable[[Document], str] | None = None,
) -> None:
    """Print a table, or nothing without rows.

    ``note`` gives what else is to be said of a row: in a last column, or below the table where that is too narrow.
    """
    listed = list(rows)
    table = _table(title, listed, columns)
    notes = [(row, text) for row in listed if note is not None and (text := note(row))]
    if note is not None and notes and console.width - console.measure(table).maximum > _NOTE_WIDTH:
        table, notes = _table(title, listed, [*columns, ("", note)]), []
    if listed:
        console.print(table)
    for row, text in notes:
        console.print(Text(f"{columns[0][1](row)}: {text}"))


def _table(title: str, rows: list[Document], columns: list[Column]) -> Table:
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, _ in columns:
        table.add_column(name, overflow="fold", no_wrap=name in _IDS)
    for row in rows:
        table.add_row(*(_cell(value(row)) for _, value in columns))
    return table


def show_facts(console: Console, facts: Document) -> None:
    """One line, or more, per entry that says something; a list has a line per member."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value not in (None, [], {}, ""):
            table.add_row(Text(name, style="bold"), Text(words(value)))
    console.print(table)


def version(facts: Document) -> str:
    """``generation 3 (commit 1a2b3c4d)`` from whatever names a generation, snapshot and commit."""
    if facts.get("generation") is None:
        return "no code yet"
    return f"generation {facts['generation']} ({commit_of(facts) or 'code ' + str(facts['snapshot'])[:12]})"


def brief(facts: Document | None) -> str:
    """``3 c0ffeec0``: generation and commit, or generation and code version."""
    if not facts:
        return ""
    return f"{facts['generation']} {(facts.get('commit') or facts['snapshot'])[:8]}"


def commit_of(facts: Document) -> str:
    if not facts.get("commit"):
        return ""
    return f"commit {facts['commit'][:8]}{', dirty' if facts.get('dirty') else ''}"


def _cell(value: object) -> Text:
    text = str(value)
    return Text(text, style=_STYLES.get(text, ""))


def words(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(words(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {words(each)}" for name, each in value.items())
    return str(value)


def time(value: str | None) -> str:
    if not value:
        return ""
    at = datetime.fromisoformat(value).astimezone()
    return at.strftime("%H:%M:%S" if at.date() == datetime.now().astimezone().date() else "%m-%d %H:%M:%S")


def first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]
