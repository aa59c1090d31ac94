"""``lab signals``: what devices measured."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts


@click.command()
@click.argument("device")
@click.argument("name", required=False)
@click.option("--within", metavar="SPAN", help="All values of the last 90s, 15m, 2h or 7d, not only the last one.")
@as_json
@in_lab
def signals(folder: Path | None, device: str, name: str | None, within: str | None, as_json: bool) -> None:
    """Show what DEVICE measured: the signal NAME, or all.

    \b
    Examples:
      lab signals furnace_1
      lab signals furnace_1 temperature --within 2h
    """
    from lab import display

    found = client_of(config_of(folder)).signals(device, name, within)
    print_facts(as_json, found, display.show_signals)
