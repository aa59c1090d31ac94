"""``lab versions | plan | refresh | rollback | collect``: the code of a laboratory."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts


@click.command()
@as_json
@in_lab
def versions(folder: Path | None, as_json: bool) -> None:
    """List code versions and who still needs them.

    Each generation with its commit, its state, and which tasks and devices keep it.

    \b
    Example:
      lab versions
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).get("versions"), display.show_versions)


@click.command()
@click.argument("rev", required=False)
@as_json
@in_lab
def plan(folder: Path | None, rev: str | None, as_json: bool) -> None:
    """Tell what a refresh to REV would change and wait for.

    Also what it would break, and why it would be refused: then the exit code is 1. Nothing is changed.

    \b
    Examples:
      lab plan
      lab plan my-branch --json
    """
    from lab import display

    facts = client_of(config_of(folder)).plan(rev)
    print_facts(as_json, facts, display.show_plan)
    if facts.get("refused"):
        sys.exit(1)


@click.command()
@click.argument("rev", required=False)
@as_json
@in_lab
def refresh(folder: Path | None, rev: str | None, as_json: bool) -> None:
    """Take new code live: REV, or what the lab watches. Running tasks keep theirs.

    \b
    Examples:
      lab refresh
      lab refresh 1a2b3c4d
      lab refresh version:3f9a81cc   the files of that code version
    """
    from lab import display

    facts = client_of(config_of(folder)).refresh(rev)
    print_facts(as_json, facts, display.show_refresh)
    if facts.get("error"):
        sys.exit(2)


@click.command()
@click.argument("generation", type=int)
@as_json
@in_lab
def rollback(folder: Path | None, generation: int, as_json: bool) -> None:
    """Make the code of an earlier GENERATION current again.

    It becomes a new generation. Running tasks keep theirs.

    \b
    Example:
      lab rollback 3
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).roll_back(generation), display.show_refresh)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and why.")
@as_json
@in_lab
def collect(folder: Path | None, dry_run: bool, as_json: bool) -> None:
    """Remove code versions that nothing refers to.

    The lab does so by itself once a day. Code that tasks ran is kept, unless lab.toml has a [snapshots] keep_days.

    \b
    Example:
      lab collect --dry-run
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).collect(dry_run=dry_run), display.show_collection)
