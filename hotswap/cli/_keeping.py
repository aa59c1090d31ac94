"""``hotswap collect | hold | release``: what is kept, and what goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotswap.cli._common import (
    JSON,
    STORE,
    complete_snapshot,
    new_table,
    open_store,
    print_json,
    print_table,
    progress_bar,
    size,
)
from hotswap.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from hotswap.store import Decision, Store

_PROGRAM = "worker "  # how the reasons of `hotswap worker` begin
_KEEP_LAST, _KEEP_DAYS = 10, 30.0


@click.command(short_help="Remove the snapshots that nothing keeps.")
@click.option(
    "--keep-last",
    type=click.IntRange(min=0),
    default=_KEEP_LAST,
    show_default=True,
    help="How many of the newest snapshots of each package to keep.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0),
    default=_KEEP_DAYS,
    show_default=True,
    help="For how many days since its last use to keep a snapshot.",
)
@click.option(
    "--reference", "references", multiple=True, shell_complete=complete_snapshot, help="A snapshot to keep; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go, and why.")
@STORE
@JSON
def collect(
    keep_last: int, keep_days: float, references: tuple[str, ...], dry_run: bool, folder: Path, as_json: bool
) -> None:
    """Remove the snapshots that nothing keeps, and tell of each one why it stays or goes.

    Kept are those that are current, held, in use, or whose id was handed out in the last hour. A store that belongs to
    a laboratory is collected by that, which knows what its work refers to.

    \b
    hotswap collect --dry-run
    hotswap collect --keep-last 3 --keep-days 7 --reference 3f9a
    """
    from hotswap.store import Retention

    store = open_store(folder)
    owner = store.owner
    if owner is not None:
        raise StoreError(
            f"The store {store.root} belongs to {owner.name}, which knows what it needs: run `{owner.how}`."
        )
    found, retention = _references(store, references), Retention(keep_last, keep_days)
    with progress_bar("collecting") as progress:
        decisions = store.collect(found, retention, dry_run=dry_run, progress=progress)
    if as_json:
        print_json([_facts(one) for one in decisions])
        return
    if decisions:
        print_table(_decision_table(decisions, dry_run))
    click.echo(_told(decisions, dry_run))


@click.command(short_help="Keep a snapshot from being collected.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@click.option("--reason", required=True, help="Who or what needs the snapshot.")
@STORE
@JSON
def hold(snapshot: str, reason: str, folder: Path, as_json: bool) -> None:
    """Keep the snapshot with the id SNAPSHOT from being collected, until it is released.

    It may be held for several reasons; it is kept as long as there is one.

    \b
    hotswap hold 3f9a --reason "paper 12"
    """
    store = open_store(folder)
    store.hold(snapshot, reason)
    if as_json:
        print_json({"snapshot": store.resolve(snapshot), "holds": store.holds(snapshot)})
        return
    click.echo(f"Snapshot {store.resolve(snapshot)[:12]} is held for {' and '.join(map(repr, store.holds(snapshot)))}.")


@click.command(short_help="Drop a hold of a snapshot.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@click.option("--reason", help="The hold to drop.")
@STORE
@JSON
def release(snapshot: str, reason: str | None, folder: Path, as_json: bool) -> None:
    """Drop a hold of the snapshot with the id SNAPSHOT; it may be collected when there is none.

    The reason may be left out where it is the only one, and not that of a worker, which holds what it needs.
    The exit code is 1 if there was nothing to drop.

    \b
    hotswap release 3f9a
    hotswap release 3f9a --reason "paper 12"
    """
    store = open_store(folder)
    dropped = store.release(snapshot, reason or _only_hold(store, snapshot))
    if as_json:
        print_json(dropped)
    elif dropped:
        click.echo(f"No longer held for {' and '.join(map(repr, dropped))}.")
    else:
        click.echo("It was not held" + (f" for {reason!r}." if reason else "."))
    if not dropped:
        raise SystemExit(1)


def _only_hold(store: Store, snapshot: str) -> str | None:
    """The reason that needs no naming; None if nothing holds the snapshot."""
    holds = store.holds(snapshot)
    if not holds:
        return None
    if len(holds) > 1 or holds[0].startswith(_PROGRAM):
        told = " and ".join(map(repr, holds))
        raise StoreError(f"Snapshot {store.resolve(snapshot)[:12]} is held for {told}: name the hold with --reason.")
    return holds[0]


def _references(store: Store, given: tuple[str, ...]) -> dict[str, str]:
    """Full ids, each with what refers to it."""
    from hotswap.generations import FileGenerations, applications

    found = {store.resolve(one): "referred to" for one in given}
    for app in applications(store.root):
        current = FileGenerations(store.root, app).current()
        if current is not None:
            found[current.snapshot] = f"current for {app}"
    return found


def _facts(one: Decision) -> dict[str, object]:
    return {"snapshot": one.snapshot, "keep": one.keep, "reason": one.reason, "size": one.size}


def _decision_table(decisions: Sequence[Decision], dry_run: bool) -> Table:
    table = new_table("snapshot", "", "why", "size", wrap=("why",))
    gone = "would go" if dry_run else "collected"
    for one in decisions:
        table.add_row(one.snapshot[:12], "kept" if one.keep else gone, one.reason, size(one.size))
    return table


def _told(decisions: Sequence[Decision], dry_run: bool) -> str:
    gone = [one.size for one in decisions if not one.keep]
    if not gone:
        return "Nothing to collect."
    verb = "would be" if dry_run else "were" if len(gone) > 1 else "was"
    snapshots = f"{len(gone)} snapshot{'s' * (len(gone) > 1)}"
    return f"{snapshots} {verb} collected: {size(sum(gone))}."
