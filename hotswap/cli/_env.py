"""``hotswap env``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotswap.cli._common import JSON, STORE, complete_snapshot, new_table, open_store, print_json, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from hotswap.environment import Environment
    from hotswap.snapshot import Snapshot


@click.command(short_help="Compare the recorded environment with the present one.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@click.option("--recorded", is_flag=True, help="Do not compare: show what was recorded when it was frozen.")
@STORE
@JSON
@click.pass_context
def env(ctx: click.Context, snapshot: str, recorded: bool, folder: Path, as_json: bool) -> None:
    """Show the environment that SNAPSHOT was frozen with, beside the one of this Python; exit code 1 if they differ.

    \b
    hotswap env 3f9a
    """
    from hotswap.drift import present

    store = open_store(folder)
    found = store.open(snapshot)
    now = None if recorded else present(store, found)
    if as_json:
        print_json(_facts(found, now))
    else:
        print_table(_table(found.environment, now))
    if now is not None and found.environment.compare(now):
        ctx.exit(1)


def _facts(snapshot: Snapshot, now: Environment | None) -> dict[str, object]:
    facts: dict[str, object] = {"snapshot": snapshot.id, "recorded": snapshot.environment.to_dict()}
    if now is None:
        return facts
    changes = snapshot.environment.compare(now)
    return {**facts, "now": now.to_dict(), "drift": [[one.name, one.before, one.after] for one in changes]}


def _table(recorded: Environment, now: Environment | None) -> Table:
    before, after = recorded.versions(), now.versions() if now else {}
    table = new_table("distribution", "frozen with", *(["installed now", ""] if now else []))
    for name in sorted({*before, *after}):
        then, today = before.get(name, "absent"), after.get(name, "absent")
        table.add_row(name, then, *([today, "" if today == then else "differs"] if now else []))
    return table
