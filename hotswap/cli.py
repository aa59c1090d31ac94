"""The command line: ``hotswap freeze | list | show | diff | verify``.

A ``HotswapError`` ends a command with its sentence on standard error and exit code 2, as a wrong usage does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotswap.errors import HotswapError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from hotswap.compare import Difference
    from hotswap.snapshot import Snapshot
    from hotswap.source import GitSource
    from hotswap.store import Damage, Frozen, Store


class _Group(click.Group):
    """Turns errors that a person can mend into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HotswapError as problem:
            click.echo(f"error: {problem}", err=True)
            ctx.exit(2)


@click.group(cls=_Group)
@click.version_option(package_name="hotswap-lab")
def main() -> None:
    """Versions of code: freeze a package into an immutable snapshot, look at snapshots, compare and check them.

    \b
    hotswap freeze my_lab            # what is on disk now
    hotswap freeze my_lab --rev v1   # what the tag v1 has
    hotswap diff 3f9a 81cc --patch
    """


_STORE = click.option(
    "--store",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("snapshots"),
    envvar="HOTSWAP_STORE",
    show_default="./snapshots",
    show_envvar=True,
    help="The folder that snapshots are kept in.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON, for programs.")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--rev", help="Freeze this commit, branch or tag from git, instead of what is on disk.")
@click.option(
    "--extra", multiple=True, type=click.Path(path_type=Path), help="Another local package to freeze beside it."
)
@_STORE
@_JSON
def freeze(path: Path, rev: str | None, extra: tuple[Path, ...], folder: Path, as_json: bool) -> None:
    """Freeze the package in the folder PATH and print the id of the snapshot.

    The same content gets the same id on any machine, and is stored once.

    \b
    hotswap freeze labs/my_lab
    hotswap freeze labs/my_lab --rev main~3 --store /var/lib/lab/store
    """
    frozen = _freeze(path, rev, extra, _store(folder))
    if as_json:
        _print_json({**_summary(frozen.snapshot), "new": frozen.new})
        return
    click.echo(frozen.snapshot.id)
    click.echo(_told(frozen), err=True)


@main.command("list")
@_STORE
@_JSON
def list_snapshots(folder: Path, as_json: bool) -> None:
    """List the snapshots, newest first.

    \b
    hotswap list --store /var/lib/lab/store
    """
    snapshots = _store(folder).list()
    if as_json:
        _print_json([_summary(snapshot) for snapshot in snapshots])
    elif snapshots:
        _print(_snapshot_table(snapshots))
    else:
        click.echo(f"There are no snapshots in {folder}: make one with `hotswap freeze`.")


@main.command()
@click.argument("snapshot")
@_STORE
@_JSON
def show(snapshot: str, folder: Path, as_json: bool) -> None:
    """Show where the snapshot with the id SNAPSHOT came from, its files and its environment.

    The first characters of an id are enough.

    \b
    hotswap show 3f9a
    """
    found = _store(folder).open(snapshot)
    if as_json:
        _print_json(found.to_dict())
        return
    _print(_facts_table(found))
    _print(_file_table(found))
    _print(_environment_table(found))


@main.command()
@click.argument("before")
@click.argument("after")
@click.option("--patch", "as_patch", is_flag=True, help="Print the changed lines too, as a unified diff.")
@_STORE
@_JSON
def diff(before: str, after: str, as_patch: bool, folder: Path, as_json: bool) -> None:
    """Compare the snapshots BEFORE and AFTER: files and environment.

    \b
    hotswap diff 3f9a 81cc --patch
    """
    from hotswap.compare import compare, patch

    store = _store(folder)
    old, new = store.open(before), store.open(after)
    difference = compare(old, new)
    text = patch(store, old, new) if as_patch else None
    if as_json:
        _print_json(difference.to_dict() | ({} if text is None else {"patch": text}))
        return
    _print_difference(difference)
    if text:
        click.echo(f"\n{text}", nl=False)


@main.command()
@click.argument("snapshot", required=False)
@_STORE
@_JSON
def verify(snapshot: str | None, folder: Path, as_json: bool) -> None:
    """Read everything again and tell what is not as it was frozen: all snapshots, or the one with the id SNAPSHOT.

    The exit code is 1 if anything is damaged.

    \b
    hotswap verify
    hotswap verify 3f9a
    """
    store = _store(folder)
    damages = store.verify(snapshot) if as_json else _verify_with_bar(store, snapshot)
    if as_json:
        _print_json([{"snapshot": one.snapshot, "path": one.path, "what": one.what} for one in damages])
    elif damages:
        _print(_damage_table(damages))
    else:
        click.echo("All content is as it was frozen.")
    if damages:
        raise SystemExit(1)


def _store(folder: Path) -> Store:
    from hotswap.store import Store

    return Store(folder)


def _freeze(path: Path, rev: str | None, extra: tuple[Path, ...], store: Store) -> Frozen:
    from hotswap.source import TreeSource

    if rev is None:
        return store.ensure(TreeSource(path, extra=extra))
    with _git_source(path, rev, extra) as source:
        return store.ensure(source)


def _git_source(path: Path, rev: str, extra: tuple[Path, ...]) -> GitSource:
    from hotswap.source import GitSource, open_repository

    with open_repository(path) as repository:
        top = Path(repository.working_tree_dir or repository.git_dir)
    places = [_relative(one, top) for one in (path, *extra)]
    return GitSource(top, places[0], rev, extra=tuple(places[1:]))


def _relative(path: Path, top: Path) -> str:
    try:
        return path.resolve().relative_to(top.resolve()).as_posix()
    except ValueError as problem:
        raise SourceError(
            f"{path} is not in the repository {top}: --rev takes packages of one repository."
        ) from problem


def _told(frozen: Frozen) -> str:
    snapshot = frozen.snapshot
    if not frozen.new:
        return "already frozen, nothing written"
    commit = f"commit {snapshot.origin.commit[:12]}" if snapshot.origin.commit else "no commit"
    changes = ", with uncommitted changes" if snapshot.origin.commit and snapshot.origin.dirty else ""
    return f"frozen {len(snapshot.files)} files of {snapshot.package}, {_size(snapshot.size)}, from {commit}{changes}"


def _summary(snapshot: Snapshot) -> dict[str, Any]:
    """Everything but the list of files."""
    facts = snapshot.to_dict()
    return {**facts, "files": len(facts["files"]), "size": snapshot.size}


def _verify_with_bar(store: Store, snapshot: str | None) -> Sequence[Damage]:
    from rich.console import Console
    from rich.progress import Progress

    if snapshot is not None:
        snapshot = store.resolve(snapshot)  # an error belongs before the bar, not in it
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading")
        return store.verify(snapshot, lambda done, total: bar.update(task, completed=done, total=total))


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print(renderable: object) -> None:
    from rich.console import Console

    Console().print(renderable)


def _table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table

    return Table(*columns, title=title, title_justify="left")


def _snapshot_table(snapshots: Sequence[Snapshot]) -> Table:
    table = _table("snapshot", "package", "files", "size", "commit", "frozen at", "message")
    table.columns[0].no_wrap = True
    for one in snapshots:
        message = (one.origin.message or "").partition("\n")[0]
        facts = (one.short_id, one.package, str(len(one.files)), _size(one.size))
        table.add_row(*facts, _commit(one), _time(one), message)
    return table


def _facts_table(snapshot: Snapshot) -> Table:
    table = _table("snapshot", snapshot.id)
    table.columns[1].overflow = "fold"
    table.add_row("package", snapshot.package)
    table.add_row("commit", _commit(snapshot))
    table.add_row("author", snapshot.origin.author or "unknown")
    table.add_row("message", snapshot.origin.message or "")
    table.add_row("frozen at", _time(snapshot))
    table.add_row("python", snapshot.python)
    table.add_row("source digest", snapshot.source_digest)
    return table


def _file_table(snapshot: Snapshot) -> Table:
    table = _table("path", "mode", "size", "digest", title="files")
    for entry in snapshot.files:
        table.add_row(entry.path, f"{entry.mode:o}", _size(entry.size), entry.digest[:12])
    return table


def _environment_table(snapshot: Snapshot) -> Table:
    table = _table("distribution", "version", "local content", title="environment")
    for one in snapshot.environment.distributions:
        table.add_row(one.name, one.version, (one.digest or "")[:12])
    return table


def _damage_table(damages: Sequence[Damage]) -> Table:
    table = _table("snapshot", "path", "what is wrong", title="damage")
    for one in damages:
        table.add_row(one.snapshot[:12], one.path, one.what)
    return table


def _print_difference(difference: Difference) -> None:
    if not difference:
        click.echo("There is no difference.")
        return
    table = _table("what", "name", "before", "after")
    for what, paths in (("added", difference.added), ("removed", difference.removed), ("changed", difference.changed)):
        for path in paths:
            table.add_row(what, path, "", "")
    for change in difference.environment:
        table.add_row("environment", change.name, change.before or "absent", change.after or "absent")
    _print(table)


def _commit(snapshot: Snapshot) -> str:
    origin = snapshot.origin
    if origin.commit is None:
        return "none"
    return f"{origin.commit[:12]} (dirty)" if origin.dirty else origin.commit[:12]


def _time(snapshot: Snapshot) -> str:
    return snapshot.frozen_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


if __name__ == "__main__":
    main()
