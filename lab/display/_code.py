"""The code of a laboratory: versions, plans, refreshes."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lab.display._laboratory import remarks
from lab.display._tables import Column, Document, commit_of, show, time, version


def show_versions(console: Console, versions: list[Document]) -> None:
    columns: list[Column] = [
        ("generation", lambda each: each["number"]),
        ("code version", lambda each: each["snapshot"][:12]),
        ("commit", lambda each: commit_of(each).removeprefix("commit ")),
        ("state", lambda each: each["state"] if each["current"] or each["state"] != "current" else "older"),
        ("tasks", lambda each: each["unfinished_tasks"]),
        ("since", lambda each: time(each["activated_at"])),
        ("by", lambda each: each["actor"]),
        ("why", lambda each: each["reason"]),
    ]
    show(console, "code versions", versions, columns, _remarks)


def _remarks(generation: Document) -> str:
    return "; ".join(f"{names}: {said}" for said, names in remarks(generation.get("processes", [])).items())


def show_refresh(console: Console, refresh: Document) -> None:
    """How a refresh or a rollback ended, in a sentence, then what it changed."""
    seconds = refresh["steps"][-1]["seconds"] if refresh["steps"] else 0.0
    said = {
        "live": f"[green]Live[/]: {version(refresh)}, after {seconds:.2f} s.",
        "unchanged": f"Nothing to do: {commit_of(refresh) or 'this code'} is current already.",
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
    for used in plan.get("removed_in_use", ()):
        table.add_row(Text("retires later", style="bold"), Text(f"{used['name']}: {used['why']}"))
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
