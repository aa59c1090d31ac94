"""What new code would change, what it waits for, and why it would not go live."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.display._laboratory import changes
from lab.display._tables import Document, time
from lab.statuses import UNDECIDED

_PARTS = ("files", "tasks", "devices", "positions")

_Line = tuple[str, str, str]
"""What it is about, how that is shown, and what is said."""


def show_plan(console: Console, plan: Document) -> None:
    """A line, or more, for everything that new code changes, waits for, or does not fit."""
    table = Table.grid(padding=(0, 2))
    for about, style, said in _lines(plan):
        table.add_row(Text(about, style=style), Text(said))
    console.print(table if table.row_count else "Nothing changes.")


def _lines(plan: Document) -> Iterator[_Line]:
    for refusal in plan.get("refused", ()):
        yield "refused", "bold red", refusal["reason"]
    for part in _PARTS:
        for how, names in (plan.get(part) or {}).items():
            if names:
                told = changes(names) if how == "environment" else ", ".join(names)
                yield (how if how == "environment" else f"{part} {how}"), "bold", told
    for kind, reasons in plan.get("why", {}).items():
        for names, lines in _alike(reasons):
            yield f"why {kind}", "bold", "\n".join((f"{', '.join(names)}:", *(f"  {line}" for line in lines)))
    for device in plan["drain_set"]:
        yield "rebind", "bold", "\n".join(_rebinding(device))
    for used in plan.get("removed_in_use", ()):
        yield "retires later", "bold", f"{used['name']}: {used['why']}"
    for task in plan.get("affected", ()):
        yield "runs new code", "bold", f"{task['type']} {task['task']}, which is {task['status']}"
    for task in plan["queued"]:
        yield "held back", "bold red", f"{task['type']} {task['task']}: {task['reason']}"


def _alike(reasons: dict[str, list[str]]) -> list[tuple[list[str], list[str]]]:
    """What changes for the same reason is named together."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, lines in sorted(reasons.items()):
        if lines:
            names.setdefault(tuple(lines), []).append(name)
    return [(together, list(lines)) for lines, together in names.items()]


def _rebinding(device: Document) -> Iterator[str]:
    """When a device gets its new driver, and what is known of who has it."""
    if device["holder"]:
        yield f"{device['device']} when {device['task']} {device['holder']} releases it"
        yield f"  held since {time(device.get('since')) or 'a moment ago'}, {_expected(device)}"
    elif device.get("paused"):
        yield f"{device['device']} after `lab release {device['device']}`: it is paused"
    else:
        yield f"{device['device']} at once"
    for sample in device.get("samples", ()):
        yield f"  sample {sample['name']} in {sample['position']}"


def _expected(device: Document) -> str:
    if device.get("status") in UNDECIDED:
        return f"{device['status']}: it waits for `lab retry` or `lab cancel`"
    if not device.get("expected_until"):
        return "until when is not known"
    count = device["estimated_from"]
    told_by = "1 completed task tells" if count == 1 else f"{count} completed tasks tell"
    return f"expected until {time(device['expected_until'])}, as {told_by}"
