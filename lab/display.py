"""What people see of the facts: rich tables and plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Document = dict[str, Any]
Column = tuple[str, Callable[[Document], object]]

_WHOLE: Final = (
    "task",
    "type",
    "device",
    "status",
    "state",
    "code version",
    "code",
    "driver",
    "held by",
    "started",
    "since",
)
_STYLES: Final = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "ERROR": "red",
    "LOST": "bold red",
    "CANCELLED": "yellow",
    "free": "green",
    "granted": "cyan",
    "error": "red",
    "rebinding": "yellow",
    "current": "green",
    "draining": "yellow",
    "rejected": "red",
}


def show_status(console: Console, status: Document) -> None:
    console.print(f"[bold]{status['lab']}[/] runs {version(status)}, auto_refresh {_switch(status['auto_refresh'])}")
    refresh = status.get("refresh")
    if refresh and refresh["outcome"] == "rejected":
        console.print(f"[red]newest code rejected:[/] {escape(refresh['error'])}")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(status["tasks"].items())) or "none"
    console.print(f"tasks: {counts}")
    columns: list[Column] = [
        ("code version", version),
        ("", lambda each: "current" if each["current"] else "older"),
        ("unfinished tasks", lambda each: ", ".join(f"{task['type']} {task['status']}" for task in each["tasks"])),
    ]
    show(console, "", status["versions"], columns)
    show_devices(console, status["devices"])


def show_experiments(console: Console, experiments: list[Document]) -> None:
    if not experiments:
        console.print("no experiments")
    columns: list[Column] = [
        ("experiment", lambda each: each["id"]),
        ("name", lambda each: each["name"]),
        ("status", lambda each: each["status"]),
        ("submitted", lambda each: _time(each["submitted_at"])),
    ]
    show(console, "experiments", experiments, columns)


def show_tasks(console: Console, tasks: list[Document]) -> None:
    if not tasks:
        console.print("no tasks")
    columns: list[Column] = [
        ("task", lambda task: task["id"]),
        ("type", lambda task: task["type"]),
        ("status", lambda task: task["status"]),
        ("code", lambda task: _brief(task["pin"])),
        ("started", lambda task: _time(task["started_at"])),
        ("", lambda task: _first_line(task["error"] or task["reason"] or task["message"])),
    ]
    show(console, "tasks", tasks, columns)


def show_devices(console: Console, devices: list[Document]) -> None:
    columns: list[Column] = [
        ("device", lambda device: device["id"]),
        ("state", lambda device: "paused" if device["paused"] else device["state"]),
        ("driver", lambda device: _brief(device["binding"])),
        ("held by", lambda device: device["holder"] or ""),
        ("connects", lambda device: device["connects"]),
        ("", lambda device: _first_line(device["error"] or device["message"])),
    ]
    show(console, "devices", devices, columns)


def show_versions(console: Console, versions: list[Document]) -> None:
    columns: list[Column] = [
        ("generation", lambda each: each["number"]),
        ("code version", lambda each: each["snapshot"][:12]),
        ("commit", lambda each: _commit(each).removeprefix("commit ")),
        ("state", lambda each: each["state"] if each["current"] or each["state"] != "current" else "older"),
        ("tasks", lambda each: each["unfinished_tasks"]),
        ("since", lambda each: _time(each["activated_at"])),
        ("by", lambda each: each["actor"]),
        ("why", lambda each: each["reason"]),
    ]
    show(console, "code versions", versions, columns)


def show_refresh(console: Console, refresh: Document) -> None:
    """How a refresh or a rollback ended, in a sentence, then what it changed."""
    seconds = refresh["steps"][-1]["seconds"] if refresh["steps"] else 0.0
    said = {
        "live": f"[green]Live[/]: {version(refresh)}, after {seconds:.2f} s.",
        "unchanged": f"Nothing to do: {_commit(refresh) or 'this code'} is current already.",
        "superseded": "Superseded: newer code came meanwhile, and goes live in its place.",
        "rejected": f"[red]Rejected[/], the lab goes on as it was: {escape(refresh.get('error') or '')}",
    }
    console.print(said.get(refresh["outcome"], f"The refresh is {refresh['outcome']}."), soft_wrap=True)
    if refresh["outcome"] == "live" and refresh.get("plan"):
        show_plan(console, refresh["plan"])


def show_plan(console: Console, plan: Document) -> None:
    """What new code changes, what it waits for, and what it does not fit."""
    table = Table.grid(padding=(0, 2))
    for part in ("files", "tasks", "devices"):
        for how, names in (plan.get(part) or {}).items():
            if names:
                table.add_row(Text(f"{part} {how}", style="bold"), Text(", ".join(map(_change, names))))
    for device in plan["drain_set"]:
        when = f"when {device['task']} {device['holder']} releases it" if device["holder"] else "at once"
        table.add_row(Text("rebind", style="bold"), Text(f"{device['device']} {when}"))
    for task in plan["queued"]:
        table.add_row(Text("held back", style="bold red"), Text(f"{task['type']} {task['task']}: {task['reason']}"))
    console.print(table if table.row_count else "Nothing changes.")


def show_collection(console: Console, collection: Document) -> None:
    """What is done with each code version, and why."""
    columns: list[Column] = [
        ("code version", lambda each: each["snapshot"][:12]),
        ("is", lambda each: "kept" if each["keep"] else "collected"),
        ("because", lambda each: each["reason"]),
        ("KiB", lambda each: round(each["size"] / 1024)),
    ]
    show(console, "code versions", collection["decisions"], columns)


def _change(name: object) -> str:
    """A name, or for a distribution ``name 1.0 -> 2.0``."""
    if not isinstance(name, list):
        return str(name)
    distribution, before, after = name
    return f"{distribution} {before or 'absent'} -> {after or 'absent'}"


def show_facts(console: Console, facts: Document) -> None:
    """A document without a table of its own: one line per entry that says something."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value not in (None, [], {}, ""):
            table.add_row(Text(name.replace("_", " "), style="bold"), Text(_words(value)))
    console.print(table)


def show(console: Console, title: str, rows: Iterable[Document], columns: list[Column]) -> None:
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, _ in columns:
        table.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        table.add_row(*(_cell(value(row)) for _, value in columns))
    if table.row_count:
        console.print(table)


def version(facts: Document) -> str:
    """``generation 3 (commit 1a2b3c4d)`` from whatever names a generation, snapshot and commit."""
    if facts.get("generation") is None:
        return "no code yet"
    return f"generation {facts['generation']} ({_commit(facts) or 'code ' + str(facts['snapshot'])[:12]})"


def _brief(facts: Document | None) -> str:
    """``3 c0ffeec0``: generation and commit, or generation and code version."""
    if not facts:
        return ""
    return f"{facts['generation']} {(facts.get('commit') or facts['snapshot'])[:8]}"


def _commit(facts: Document) -> str:
    if not facts.get("commit"):
        return ""
    return f"commit {facts['commit'][:8]}{', dirty' if facts.get('dirty') else ''}"


def _cell(value: object) -> Text:
    text = str(value)
    return Text(text, style=_STYLES.get(text, ""))


def _words(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(_words(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(each)}" for name, each in value.items())
    return str(value)


def _time(value: str | None) -> str:
    if not value:
        return ""
    at = datetime.fromisoformat(value).astimezone()
    return at.strftime("%H:%M:%S" if at.date() == datetime.now().astimezone().date() else "%m-%d %H:%M:%S")


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _switch(value: bool) -> str:
    return "on" if value else "off"
