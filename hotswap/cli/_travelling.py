"""``hotswap export | import | checkout``: snapshots out of the store, and into another one."""

from __future__ import annotations

from pathlib import Path

import click

from hotswap.cli._common import (
    JSON,
    STORE,
    complete_snapshot,
    files_of,
    open_store,
    print_json,
    print_taken,
    progress_bar,
    size,
    summary,
)


@click.command("export", short_help="Write a snapshot into one file.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@STORE
@JSON
def export_snapshot(snapshot: str, path: Path, folder: Path, as_json: bool) -> None:
    """Write the snapshot with the id SNAPSHOT into one FILE, to keep it or to move it to another store.

    The same snapshot always gives the same bytes. The file is a tar archive: `tar xf FILE` gives the code back, too.

    \b
    hotswap export 3f9a furnace-paper.tar
    """
    from hotswap.archive import export

    store = open_store(folder)
    with progress_bar("writing") as progress:
        found = export(store, snapshot, path, progress)
    written = path.stat().st_size
    if as_json:
        print_json({**summary(found), "path": str(path), "bytes": written})
        return
    click.echo(f"wrote {files_of(found)} of {found.package} to {path}, {size(written)}")


@click.command("import", short_help="Take a snapshot from an exported file.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--hold", metavar="REASON", help="Keep it from being collected, for this reason.")
@STORE
@JSON
def import_archive(path: Path, hold: str | None, folder: Path, as_json: bool) -> None:
    """Take the snapshot in FILE, which `hotswap export` wrote, into the store and print its id.

    Everything is checked before anything becomes visible; the id is the one it had.

    \b
    hotswap import furnace-paper.tar --hold "figure 3"
    """
    from hotswap.archive import load

    store = open_store(folder, create=True)
    with progress_bar("reading") as progress:
        frozen = load(store, path, hold=hold, progress=progress)
    print_taken(frozen, "imported", as_json=as_json)


@click.command(short_help="Write the files of a snapshot into a new folder.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@click.argument("target", metavar="FOLDER", type=click.Path(path_type=Path))
@STORE
@JSON
def checkout(snapshot: str, target: Path, folder: Path, as_json: bool) -> None:
    """Write the files of the snapshot with the id SNAPSHOT, as they were frozen, into a new or empty FOLDER.

    They are plain files to read and to change; the snapshot stays as it is.

    \b
    hotswap checkout 3f9a /tmp/as-it-ran
    """
    from hotswap.checkout import checkout

    store = open_store(folder)
    with progress_bar("writing") as progress:
        found = checkout(store, snapshot, target, progress)
    if as_json:
        print_json({**summary(found), "path": str(target)})
        return
    click.echo(f"wrote {files_of(found)} of {found.package} to {target}")
    click.echo(f"to compare: git diff --no-index {target / found.package} {found.package}", err=True)
