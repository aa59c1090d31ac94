"""``hotswap push | fetch``: snapshots into a database, and from there into the store of another host."""

from __future__ import annotations

from pathlib import Path

import click

from hotswap.cli._common import (
    DATABASE_VARIABLE,
    JSON,
    STORE,
    complete_snapshot,
    files_of,
    open_store,
    print_json,
    print_taken,
    progress_bar,
    summary,
)

_DATABASE = click.option(
    "--database",
    "url",
    envvar=DATABASE_VARIABLE,
    required=True,
    show_envvar=True,
    help="mongodb://host:port/name; one with a password belongs in the variable.",
)


@click.command(short_help="Write a snapshot into a database.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@_DATABASE
@STORE
@JSON
def push(snapshot: str, url: str, folder: Path, as_json: bool) -> None:
    """Write the snapshot with the id SNAPSHOT into the GridFS of a MongoDB database, for other hosts and as a copy.

    Contents that are there already, from whichever snapshot, are not written again.

    \b
    hotswap push 3f9a --database mongodb://server:27017/snapshots
    """
    from hotswap.depot import opened

    store = open_store(folder)
    with opened(url) as depot, progress_bar("writing") as progress:
        pushed = depot.push(store, snapshot, progress)
    found = pushed.snapshot
    if as_json:
        print_json({**summary(found), "new": pushed.new})
        return
    click.echo(f"pushed {files_of(found)} of {found.package}; {pushed.new} contents were new there")


@click.command(short_help="Take a snapshot from a database.")
@click.argument("wanted", metavar="SNAPSHOT")
@click.option("--hold", metavar="REASON", help="Keep it from being collected, for this reason.")
@_DATABASE
@STORE
@JSON
def fetch(wanted: str, hold: str | None, url: str, folder: Path, as_json: bool) -> None:
    """Take the snapshot with the id SNAPSHOT, which `hotswap push` wrote, into the store and print its id.

    Only what the store lacks is read; everything is checked before anything becomes visible.

    \b
    hotswap fetch 3f9a --database mongodb://server:27017/snapshots
    """
    from hotswap.depot import opened

    store = open_store(folder, create=True)
    with opened(url) as depot, progress_bar("reading") as progress:
        frozen = depot.fetch(store, wanted, hold=hold, progress=progress)
    print_taken(frozen, "fetched", as_json=as_json)
