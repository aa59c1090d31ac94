"""``lab samples | blame | move-sample``: what was made, by which code, and where people put it."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts, tell


@click.command()
@click.option(
    "--version", metavar="ID", help="Only those that this code version had a part in; an id may be shortened."
)
@as_json
@in_lab
def samples(folder: Path | None, version: str | None, as_json: bool) -> None:
    """List samples: where they are, and the code that made them.

    \b
    Examples:
      lab samples
      lab samples --version 3f9a81cc
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).samples(version), display.show_samples)


@click.command()
@click.argument("sample")
@click.option("--since", is_flag=True, help="Also tell what of that code has changed up to the current version.")
@as_json
@in_lab
def blame(folder: Path | None, sample: str, since: bool, as_json: bool) -> None:
    """List the tasks that made SAMPLE, with their code.

    SAMPLE is a name or an id. Each task is listed with its parameters, and the code version, commit and author of the
    code that it ran.

    \b
    Examples:
      lab blame quartz-7
      lab blame quartz-7 --since
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).blame(sample, since=since), display.show_blame)


@click.command("move-sample")
@click.argument("sample")
@click.argument("position")
@as_json
@in_lab
def move_sample(folder: Path | None, sample: str, position: str, as_json: bool) -> None:
    """Record that you moved a sample by hand.

    SAMPLE is a name or an id, POSITION a place such as storage/3, or `out`. No device moves. Places that a task holds
    are refused.

    \b
    Examples:
      lab move-sample quartz-7 storage/3
      lab move-sample quartz-7 out
    """
    facts = client_of(config_of(folder)).move_sample(sample, None if position == "out" else position)
    where = f"in {facts['position']}" if facts["position"] else "outside the lab"
    tell(as_json, facts, f"Sample {facts['name']} is {where}.")
