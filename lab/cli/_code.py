"""``lab versions | plan | refresh | rollback | collect``: the code of a laboratory."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts

if TYPE_CHECKING:
    from lab.client import LabClient

_LOOK_SECONDS: Final = 0.1


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


_barrier = click.option(
    "--barrier/--rolling", default=None, help="Let all work end first, or not; without it as lab.toml says."
)


@click.command()
@click.argument("rev", required=False)
@_barrier
@click.option("--cancel", is_flag=True, help="Undo the barrier that is under way; nothing was changed by it.")
@as_json
@in_lab
def refresh(folder: Path | None, rev: str | None, barrier: bool | None, cancel: bool, as_json: bool) -> None:
    """Take new code live: REV, or what the lab watches. Running tasks keep theirs.

    \b
    Examples:
      lab refresh
      lab refresh 1a2b3c4d
      lab refresh version:3f9a81cc   the files of that code version
      lab refresh --barrier          once nothing runs any more
      lab refresh --cancel
    """
    from lab import display

    if cancel and (rev is not None or barrier is not None):
        raise click.UsageError("--cancel undoes the barrier that is under way; leave out REV and how it is done.")
    client = client_of(config_of(folder))
    if cancel:
        print_facts(as_json, client.cancel_barrier(), display.show_barrier)
        return
    facts = _ended(client, client.refresh(rev, barrier=barrier, wait=False))
    print_facts(as_json, facts, display.show_refresh)
    if facts["outcome"] not in ("live", "unchanged", "superseded"):
        sys.exit(2)


@click.command()
@click.argument("generation", type=int)
@_barrier
@as_json
@in_lab
def rollback(folder: Path | None, generation: int, barrier: bool | None, as_json: bool) -> None:
    """Make the code of an earlier GENERATION current again.

    It becomes a new generation. Running tasks keep theirs.

    \b
    Example:
      lab rollback 3
    """
    from lab import display

    client = client_of(config_of(folder))
    facts = _ended(client, client.roll_back(generation, barrier=barrier, wait=False))
    print_facts(as_json, facts, display.show_refresh)
    if facts["outcome"] != "live":
        sys.exit(2)


def _ended(client: LabClient, refresh: dict[str, Any]) -> dict[str, Any]:
    """The refresh once it has an outcome; what a barrier waits for is told meanwhile, as it may take hours."""
    from lab import display

    told = ""
    while refresh["outcome"] is None:
        time.sleep(_LOOK_SECONDS)
        refresh = client.refresh_of(refresh["id"])
        waits = display.waits_for(refresh.get("barrier"))
        if waits and waits != told:
            click.echo(waits, err=True)
            told = waits
    return refresh


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
