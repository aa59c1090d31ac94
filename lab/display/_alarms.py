"""Alarms, and how they were sent."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from lab.display._tables import Column, Document, show, time


def show_alarms(console: Console, alarms: list[Document]) -> None:
    columns: list[Column] = [
        ("at", lambda alarm: time(alarm["at"])),
        ("kind", lambda alarm: alarm["kind"]),
        ("told", lambda alarm: time(alarm["told_at"]) or "not yet"),
    ]
    show(console, "alarms", alarms, columns, lambda alarm: alarm["text"])


def show_sent(console: Console, sent: Document) -> None:
    for name, error in sent["channels"].items():
        console.print(f"[red]{name}:[/] {escape(error)}" if error else f"{name}: sent")
    if not sent["channels"]:
        console.print("Nothing was sent: the lab is simulated, or has no channel in [alarms] of lab.toml.")


def show_failing(console: Console, alarms: Document | None) -> None:
    """The channels whose last message was not sent."""
    for name, last in (alarms or {}).get("channels", {}).items():
        if not last["ok"]:
            console.print(f"[red]alarms by {name} fail:[/] {escape(last['error'])}")
