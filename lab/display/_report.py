"""What `lab doctor` and `lab config` say."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from lab.display._tables import Column, Document, show


def show_settings(console: Console, settings: list[Document]) -> None:
    columns: list[Column] = [
        ("setting", lambda each: each["key"]),
        ("value", lambda each: "" if each["value"] is None else str(each["value"])),
        ("from", lambda each: each["origin"]),
    ]
    show(console, "", settings, columns)


def show_report(console: Console, report: Document) -> None:
    for fact in report["facts"]:
        console.print(f"[green]ok[/]  {fact['check']}: {escape(fact['what'])}")
    for finding in report["findings"]:
        console.print(f"[red]!![/]  {finding['check']}: {escape(finding['what'])}")
        console.print(f"    to mend it: {escape(finding['mend'])}")
    count = len(report["findings"])
    console.print("nothing is wrong" if not count else f"{count} {'thing is' if count == 1 else 'things are'} wrong")
