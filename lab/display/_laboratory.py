"""The laboratory at a glance: its code, its devices, its processes."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from lab.display._alarms import show_failing
from lab.display._attention import show_attention
from lab.display._tables import Column, Document, brief, first_line, show, time, version


def show_status(console: Console, status: Document) -> None:
    switch = _switch(status["auto_refresh"])
    console.print(f"[bold]{status['lab']}[/] runs {version(status)}, auto_refresh {switch}, {_hardware(status)}")
    refresh = status.get("refresh")
    if refresh and refresh["outcome"] == "rejected":
        console.print(f"[red]newest code rejected:[/] {escape(refresh['error'])}")
    if status.get("environment"):
        console.print(
            f"[red]environment changed:[/] {escape(changes(status['environment']))}; no new code goes live until "
            "that is undone, or taken up with `lab stop` and `lab launch`"
        )
    for each in status.get("stranded", ()):
        tasks = ", ".join(f"{task['type']} {task['id']}" for task in each["tasks"])
        needed = changes(each["environment"])
        console.print(f"[red]stranded:[/] {escape(tasks)} of code version {each['snapshot'][:12]} ({escape(needed)})")
    show_failing(console, status.get("alarms"))
    show_attention(console, status)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(status["tasks"].items())) or "none"
    console.print(f"tasks: {counts}")
    if waiting := status.get("prompts"):
        console.print(f"[yellow]waiting for a person:[/] {waiting} prompt{'s' * (waiting > 1)}, see `lab prompts`")
    columns: list[Column] = [
        ("code version", version),
        ("", lambda each: "current" if each["current"] else "older"),
        ("unfinished tasks", lambda each: ", ".join(f"{task['type']} {task['status']}" for task in each["tasks"])),
    ]
    show(console, "", status["versions"], columns)
    show_devices(console, status["devices"])
    show_processes(console, status.get("processes", []))


def _hardware(status: Document) -> str:
    if status["simulation"]:
        return "simulated"
    spared = escape(", ".join(status["simulate"]))
    unmatched = escape(", ".join(status["simulate_unmatched"]))
    return (
        f"[bold red]devices are real[/]{', all but ' + spared if spared else ''}"
        f"{'; [red]simulate in lab.toml matches no device with ' + unmatched + '[/]' if unmatched else ''}"
    )


def changes(environment: list[list[str | None]]) -> str:
    """``pydantic 2.11 -> 2.12, ...``."""
    return ", ".join(f"{name} {before or 'absent'} -> {after or 'absent'}" for name, before, after in environment)


def show_devices(console: Console, devices: list[Document]) -> None:
    columns: list[Column] = [
        ("device", lambda device: device["id"]),
        ("state", lambda device: "paused" if device["paused"] else device["state"]),
        ("driver", lambda device: brief(device["binding"])),
        ("hardware", _pretends),
        ("held by", lambda device: device["holder"] or ""),
        ("connects", lambda device: device["connects"]),
    ]
    show(console, "devices", devices, columns, _remarked)


def _remarked(device: Document) -> str:
    """What is wrong with a device and when it is tried again, else what it says."""
    said = first_line(device["error"] or device["message"])
    retry = device.get("retry")
    if device["state"] != "error" or not retry or device["paused"]:
        return said
    return f"{said}; tried again at {time(retry['at'])}"


def _pretends(device: Document) -> str:
    simulated = device.get("simulated")
    return "" if simulated is None else "simulated" if simulated else "real"


def show_processes(console: Console, processes: list[Document]) -> None:
    """Those of which there is something to say: they wait, have died, or were started the slow way."""
    rows = [{"names": names, "remark": said} for said, names in remarks(processes).items()]
    columns: list[Column] = [("process", lambda row: row["names"])]
    show(console, "processes", rows, columns, lambda row: str(row["remark"]))


def remarks(processes: list[Document]) -> dict[str, str]:
    """What is to be said of version processes -> of which."""
    alike: dict[str, list[str]] = {}
    for process in processes:
        if said := _remark(process):
            alike.setdefault(said, []).append(process["name"])
    return {said: _in_short(sorted(names, reverse=True)) for said, names in alike.items()}  # workers before drivers


def _in_short(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _remark(process: Document) -> str:
    """Why a version process does not simply run; empty if it does."""
    state, why = process.get("state", "running"), process.get("why")
    said = [f"{state}, {why}" if why and state != "running" else f"started again: {why}" if why else ""]
    if not why and state != "running":
        said.append(state)
    if spawned := process.get("spawned_because"):
        said.append(f"spawned, not forked, because {' and '.join(spawned)}")
    return "; ".join(filter(None, said))


def _switch(value: bool) -> str:
    return "on" if value else "off"
