"""The final table: what ran on which code, which driver each device has, how fast commits went live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from lab.demo.facts import SHORT, DeviceFacts, GenerationFacts, TaskFacts
from lab.demo.timing import Timing


def show_tasks(console: Console, tasks: Iterable[TaskFacts]) -> None:
    columns = ("task", "type", "status", "generation", "commit", "code version", "attempts", "furnace programs")
    rows = [
        (
            task.name,
            task.type,
            task.status,
            task.generation,
            task.commit[:SHORT],
            task.version[:SHORT],
            ", ".join(task.attempts),
            task.programs,
        )
        for task in tasks
    ]
    _show(console, "tasks", columns, rows)


def show_devices(console: Console, devices: Iterable[DeviceFacts]) -> None:
    columns = ("device", "state", "connects", "disconnects", "driver of generation", "driver version")
    rows = [
        (
            device.name,
            device.state,
            device.connects,
            device.disconnects,
            device.generation or "-",
            (device.version or "-")[:SHORT],
        )
        for device in devices
    ]
    _show(console, "devices", columns, rows)


def show_generations(
    console: Console, generations: Iterable[GenerationFacts], timings: Sequence[Timing], rollback: float
) -> None:
    """``rollback`` is how many seconds the rollback took."""
    columns = ("generation", "commit", "code version", "how", "live after", "step by step")
    went_live = {timing.generation: timing for timing in timings if timing.outcome == "live"}
    rows = []
    for each in generations:
        timing = went_live.get(each.number)
        how, seconds = ("commit", f"{timing.seconds:.2f} s") if timing else ("launch", "-")
        if each.rolled_back_to is not None:
            how, seconds = f"rollback to {each.rolled_back_to}", f"{rollback:.2f} s"
        steps = describe(timing) if timing else ""
        rows.append((each.number, each.commit[:SHORT], each.version[:SHORT], how, seconds, steps))
    _show(console, "from commit to live", columns, rows)


def describe(timing: Timing) -> str:
    """``detected 12 ms, frozen 40 ms, ...``."""
    return ", ".join(f"{step} {1000 * max(0.0, seconds):.0f} ms" for step, seconds in timing.phases.items())


def _show(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    console.print()
    console.print(table)
