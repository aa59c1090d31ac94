"""What devices measured."""

from __future__ import annotations

from rich.console import Console

from lab.display._tables import Column, Document, show, time, words


def show_signals(console: Console, readings: list[Document]) -> None:
    if not readings:
        console.print("no values")
    columns: list[Column] = [
        ("at", lambda reading: time(reading["at"])),
        ("signal", lambda reading: reading["name"]),
        ("value", lambda reading: words(reading["value"])),
    ]
    show(console, "", readings, columns)
