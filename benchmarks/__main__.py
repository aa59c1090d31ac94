"""``python -m benchmarks``: measures, prints a table, writes ``benchmarks/results.json``."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click
from rich.console import Console

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.suite import BENCHMARKS, UnknownNameError, chosen


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "show_list", is_flag=True, help="Show what can be measured, and measure nothing.")
@click.option("--quick", is_flag=True, help="Take fewer samples.")
def main(names: tuple[str, ...], show_list: bool, quick: bool) -> None:
    """Measure NAMES, each a benchmark or one of its figures; without names everything."""
    if show_list:
        _list()
        return
    try:
        wanted = chosen(names)
    except UnknownNameError as error:
        raise click.UsageError(str(error)) from error
    # In a file or a pipe there is no edge to wrap lines at.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    figures: list[Figure] = []
    for name, benchmark in wanted.items():
        console.print(f"[bold]{name}[/bold]: {benchmark.about}")
        findings = benchmark.run(quick)
        for table in findings.tables:
            console.print(table)
        figures += findings.figures
        report.write(findings.figures)
    console.print(report.table(figures))
    console.print(f"Written to {report.RESULTS}.")


def _list() -> None:
    for name, benchmark in BENCHMARKS.items():
        click.echo(f"{name}: {benchmark.about}")
        for figure in benchmark.names:
            click.echo(f"  {figure}")


def _end(number: int, _: FrameType | None) -> None:
    """Unwinds, so that what was started is ended also when this process is told to end."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    main(prog_name="python -m benchmarks")
