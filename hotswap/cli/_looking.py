"""``hotswap list | show | diff``: what the store holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotswap.cli._broken import warn_of_unknown_classes
from hotswap.cli._common import (
    JSON,
    STORE,
    commit_of,
    complete_snapshot,
    moment,
    new_table,
    one_line,
    open_store,
    print_json,
    print_table,
    size,
    summary,
)
from hotswap.errors import UnknownSnapshotError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from hotswap.compare import DefinitionChange, Difference
    from hotswap.snapshot import Snapshot
    from hotswap.store import Store


@click.command("list")
@STORE
@JSON
def list_snapshots(folder: Path, as_json: bool) -> None:
    """List the snapshots, newest first.

    \b
    hotswap list --store /var/lib/lab/store
    """
    store = open_store(folder)
    found = [(snapshot, _holds(store, snapshot)) for snapshot in store.list()]
    if as_json:
        print_json([{**summary(snapshot), "holds": holds} for snapshot, holds in found])
    elif found:
        print_table(_snapshot_table(found))
    else:
        click.echo(f"There are no snapshots in {folder}: make one with `hotswap freeze`.")


@click.command(short_help="Show origin, holds, files and environment of a snapshot.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@STORE
@JSON
def show(snapshot: str, folder: Path, as_json: bool) -> None:
    """Show where the snapshot with the id SNAPSHOT came from, who holds it, its files and its environment.

    The first characters of an id are enough.

    \b
    hotswap show 3f9a
    """
    store = open_store(folder)
    found = store.open(snapshot)
    holds = _holds(store, found)
    if as_json:
        print_json({**found.to_dict(), "holds": holds})
        return
    print_table(_facts_table(found, holds))
    print_table(_file_table(found))
    print_table(_environment_table(found))


@click.command(short_help="Compare two snapshots.")
@click.argument("before", shell_complete=complete_snapshot)
@click.argument("after", shell_complete=complete_snapshot)
@click.option("--patch", "as_patch", is_flag=True, help="Print the changed lines too, as a unified diff.")
@click.option("--class", "classes", metavar="MODULE:CLASS", multiple=True, help="Look at this class only; repeatable.")
@click.option(
    "--registration",
    multiple=True,
    metavar="FUNCTION",
    help="A function, such as lab.add_device, that only records what it is given: its calls do not count. Repeatable.",
)
@STORE
@JSON
def diff(
    before: str,
    after: str,
    as_patch: bool,
    classes: tuple[str, ...],
    registration: tuple[str, ...],
    folder: Path,
    as_json: bool,
) -> None:
    """Compare the snapshots BEFORE and AFTER: files, environment, and the classes that may behave differently.

    A class counts if anything it depends on changed; `hotswap why` tells what.

    \b
    hotswap diff 3f9a 81cc --patch
    hotswap diff 3f9a 81cc --class my_lab.devices:Furnace
    """
    from hotswap.compare import changed_definitions, compare, patch

    store = open_store(folder)
    old, new = store.open(before), store.open(after)
    difference = compare(old, new)
    changes = changed_definitions(store, old, new, classes, registration=frozenset(registration))
    text = patch(store, old, new) if as_patch else None
    warn_of_unknown_classes(store, old, new)
    if as_json:
        definitions = [[change.name, change.before, change.after] for change in changes]
        facts = {**difference.to_dict(), "definitions": definitions}
        print_json(facts if text is None else {**facts, "patch": text})
        return
    _print_difference(difference, changes)
    if text:
        click.echo(f"\n{text}", nl=False)


def _holds(store: Store, snapshot: Snapshot) -> list[str]:
    try:
        return list(store.holds(snapshot.id))
    except UnknownSnapshotError:
        return []  # collected meanwhile


def _snapshot_table(found: Sequence[tuple[Snapshot, Sequence[str]]]) -> Table:
    held = any(holds for _, holds in found)
    columns = ("snapshot", "package", "size", "commit", "frozen at", "message", *(["held for"] if held else []))
    table = new_table(*columns, wrap=("message", "held for"))
    for one, holds in found:
        facts = (one.short_id, one.package, size(one.size), commit_of(one, 7), moment(one))
        message = one_line(one.origin.message or "")
        table.add_row(*facts, message, *([", ".join(holds)] if held else []))
    return table


def _facts_table(snapshot: Snapshot, holds: Sequence[str]) -> Table:
    table = new_table("snapshot", snapshot.id, wrap=(snapshot.id,))
    table.columns[1].min_width = len(snapshot.id)
    table.add_row("package", snapshot.package)
    table.add_row("commit", commit_of(snapshot))
    table.add_row("author", snapshot.origin.author or "unknown")
    table.add_row("message", snapshot.origin.message or "")
    table.add_row("frozen at", moment(snapshot))
    table.add_row("held for", ", ".join(holds) or "nothing")
    table.add_row("python", snapshot.python)
    table.add_row("source digest", snapshot.source_digest)
    return table


def _file_table(snapshot: Snapshot) -> Table:
    table = new_table("path", "mode", "size", "digest", wrap=("path",), title="files")
    for entry in snapshot.files:
        table.add_row(entry.path, f"{entry.mode:o}", size(entry.size), entry.digest[:12])
    return table


def _environment_table(snapshot: Snapshot) -> Table:
    table = new_table("distribution", "version", "local content", title="environment")
    for one in snapshot.environment.distributions:
        table.add_row(one.name, one.version, (one.digest or "")[:12])
    return table


def _print_difference(difference: Difference, changes: Sequence[DefinitionChange]) -> None:
    if not difference:
        click.echo("There is no difference.")
        return
    for what, paths in (("added", difference.added), ("removed", difference.removed), ("changed", difference.changed)):
        for path in paths:
            click.echo(f"{what:<8} {path}")
    if not (difference.environment or changes):
        return
    table = new_table("what", "name", "before", "after", wrap=("name",))
    for change in difference.environment:
        table.add_row("environment", change.name, change.before or "absent", change.after or "absent")
    for one in changes:
        table.add_row(f"class {one.what}", one.name, (one.before or "absent")[:12], (one.after or "absent")[:12])
    click.echo()
    print_table(table)
