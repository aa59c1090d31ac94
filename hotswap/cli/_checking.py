"""``hotswap verify``: whether all content is as it was frozen."""

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
    print_rich,
    progress_bar,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from hotswap.store import Damage, Store


@click.command()
@click.argument("snapshot", required=False, shell_complete=complete_snapshot)
@STORE
@JSON
def verify(snapshot: str | None, folder: Path, as_json: bool) -> None:
    """Read everything again and tell what is not as it was frozen: all snapshots, or the one with the id SNAPSHOT.

    The exit code is 1 if anything is damaged.

    \b
    hotswap verify
    hotswap verify 3f9a
    """
    store = open_store(folder)
    damages = store.verify(snapshot) if as_json else _verify_with_bar(store, snapshot)
    if as_json:
        print_json([{"snapshot": one.snapshot, "path": one.path, "what": one.what} for one in damages])
    elif damages:
        print_rich(_damage_table(damages))
    else:
        click.echo("All content is as it was frozen.")
    if damages:
        raise SystemExit(1)


def _verify_with_bar(store: Store, snapshot: str | None) -> Sequence[Damage]:
    if snapshot is not None:
        snapshot = store.resolve(snapshot)  # an error belongs before the bar, not in it
    with progress_bar("reading") as progress:
        return store.verify(snapshot, progress)


def _damage_table(damages: Sequence[Damage]) -> Table:
    table = new_table("snapshot", "path", "what is wrong", title="damage")
    for one in damages:
        table.add_row(one.snapshot[:12], one.path, one.what)
    return table
