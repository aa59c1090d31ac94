"""The code of a laboratory: versions, plans, refreshes."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape

from lab.display._laboratory import changes, remarks
from lab.display._plan import show_plan
from lab.display._tables import Column, Document, commit_of, show, time, version

_SHOWN: Final = 3


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
    """Why it is not drained yet, and what is to be said of its processes."""
    said = [f"{names}: {said}" for said, names in remarks(generation.get("processes", [])).items()]
    if generation.get("stranded_by"):
        said.insert(0, f"install again what it needs ({changes(generation['stranded_by'])}), or cancel its tasks")
    return "; ".join([*_needed_by(generation.get("needed_by")), *said])


def _needed_by(needed: Document | None) -> list[str]:
    if not needed:
        return []
    tasks = [f"{task['type']} {task['id']} ({task['status']})" for task in needed["tasks"]]
    devices = [f"the driver of {device}" for device in needed["devices"]]
    return [f"needed by {_some([*tasks, *devices])}"] if tasks or devices else []


def _some(names: list[str]) -> str:
    shown, more = names[:_SHOWN], len(names) - _SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def show_refresh(console: Console, refresh: Document) -> None:
    """How a refresh or a rollback ended, in a sentence, then what it changed."""
    seconds = refresh["steps"][-1]["seconds"] if refresh["steps"] else 0.0
    error = escape(refresh.get("error") or "")
    said = {
        "live": f"[green]Live[/]: {version(refresh)}, after {seconds:.2f} s.",
        "unchanged": f"Nothing to do: {commit_of(refresh) or 'this code'} is current already.",
        "superseded": f"Superseded: {error or 'newer code came meanwhile, and goes live in its place.'}",
        "interrupted": f"[yellow]Interrupted[/], the lab goes on as it was: {error}",
        "undone": f"[yellow]Undone[/], the lab goes on as it was: {error}",
        "rejected": f"[red]Rejected[/], the lab goes on as it was: {error}",
    }
    console.print(said[refresh["outcome"]], soft_wrap=True)
    if refresh["outcome"] == "live" and refresh.get("plan"):
        show_plan(console, refresh["plan"])


def show_barrier(console: Console, barrier: Document) -> None:
    """How a barrier ended that somebody cancelled."""
    console.print(f"The barrier is {barrier['outcome']}: {escape(barrier['reason'] or '')}.", soft_wrap=True)


def waits_for(barrier: Document | None) -> str:
    """Whom a barrier under way waits for, a line for each; empty where it waits for nobody."""
    blockers = barrier["blockers"] if barrier and barrier["outcome"] is None else []
    named = (f"  {each['type']} {each['task'] or each['device']} {each['what']}".rstrip() for each in blockers)
    return "\n".join(["Nothing new is launched until these have ended:", *named]) if blockers else ""


def show_collection(console: Console, collection: Document) -> None:
    """What is done with each code version, and why."""
    columns: list[Column] = [
        ("code version", lambda each: each["snapshot"][:12]),
        ("is", lambda each: "kept" if each["keep"] else "collected"),
        ("because", lambda each: each["reason"]),
        ("KiB", lambda each: round(each["size"] / 1024)),
    ]
    show(console, "code versions", collection["decisions"], columns)
