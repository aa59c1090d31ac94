"""What `lab doctor` and `lab config` say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from lab.display._tables import Column, Document, show


def show_settings(console: Console, settings: list[Document]) -> None:
    columns: list[Column] = [
        ("setting", lambda each: each["key"]),
        ("value", lambda each: _as_written(each["value"])),
        ("from", lambda each: Path(each["origin"]).name),
    ]
    for file in sorted({each["origin"] for each in settings if Path(each["origin"]).is_absolute()}):
        console.print(escape(file), soft_wrap=True)
    show(console, "", settings, columns)


def _as_written(value: Any) -> str:
    """As it would stand in lab.toml, but for the quotes of a text."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def show_report(console: Console, report: Document) -> None:
    for fact in report["facts"]:
        console.print(f"[green]ok[/]  {fact['check']}: {escape(fact['what'])}")
    for finding in report["findings"]:
        console.print(f"[red]!![/]  {finding['check']}: {escape(finding['what'])}")
        console.print(f"    to mend it: {escape(finding['mend'])}")
    count = len(report["findings"])
    console.print("nothing is wrong" if not count else f"{count} {'thing is' if count == 1 else 'things are'} wrong")
