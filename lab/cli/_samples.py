"""``lab samples | blame``: what was made, and by which code."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts


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
