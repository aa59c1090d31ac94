"""``hotswap verify``: whether all content is as it was frozen."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotswap.cli._common import (
    DATABASE_VARIABLE,
    JSON,
    STORE,
    complete_snapshot,
    new_table,
    open_store,
    print_json,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from hotswap.store import Copy, Damage, Store


@click.command(short_help="Read everything again and tell what is damaged.")
@click.argument("snapshot", required=False, shell_complete=complete_snapshot)
@click.option(
    "--repair", is_flag=True, help=f"Mend what can be mended, from the store itself and from ${DATABASE_VARIABLE}."
)
@click.option(
    "--repair-from",
    "places",
    multiple=True,
    metavar="ARCHIVE|URL",
    help="Mend from an exported archive, or from a database, mongodb://..., too; repeatable.",
)
@STORE
@JSON
def verify(snapshot: str | None, repair: bool, places: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Read everything again and tell what is not as it was frozen: all snapshots, or the one with the id SNAPSHOT.

    The exit code is 1 if anything is damaged, and was not repaired. Files that do not belong to the store are left
    for you to move away.

    \b
    hotswap verify
    hotswap verify 3f9a
    hotswap verify --repair-from furnace-paper.tar
    """
    store = open_store(folder)
    known = os.environ.get(DATABASE_VARIABLE)
    with ExitStack() as open_ones:
        copies = [_copy(place, open_ones) for place in (*places, *([known] if repair and known else []))]
        damages = _verify(store, snapshot)
        left = _repair(store, damages, copies) if damages and (repair or copies) else damages
    if as_json:
        print_json([{"snapshot": one.snapshot, "path": one.path, "what": one.what} for one in left])
    elif left:
        print_table(_damage_table(left))
    elif damages:
        click.echo(f"All damage was repaired ({len(damages)} found): all content is as it was frozen.")
    else:
        click.echo("All content is as it was frozen.")
    if left:
        raise SystemExit(1)


def _copy(place: str, open_ones: ExitStack) -> Copy:
    """A database that is closed with ``open_ones``, or an archive."""
    if "://" in place:
        from hotswap.depot import opened

        return open_ones.enter_context(opened(place))
    from hotswap.archive import ArchiveSource

    return ArchiveSource(Path(place))


def _verify(store: Store, snapshot: str | None) -> Sequence[Damage]:
    if snapshot is not None:
        snapshot = store.resolve(snapshot)  # an error belongs before the bar, not in it
    with progress_bar("reading") as progress:
        return store.verify(snapshot, progress)


def _repair(store: Store, damages: Sequence[Damage], copies: Sequence[Copy]) -> Sequence[Damage]:
    with progress_bar("mending") as progress:
        return store.repair(damages, copies, progress)


def _damage_table(damages: Sequence[Damage]) -> Table:
    table = new_table("snapshot", "path", "what is wrong", wrap=("path", "what is wrong"), title="damage")
    for one in damages:
        table.add_row(one.snapshot[:12], one.path, one.what)
    return table
