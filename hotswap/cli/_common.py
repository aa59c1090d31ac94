"""What the commands share: the way errors are told, their common options, and how facts are printed."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from hotswap.errors import HotswapError, SourceError, StoreError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from hotswap.snapshot import Snapshot
    from hotswap.store import Frozen, Store


_UNLIMITED = 10_000  # columns


INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 1 would tell what a command found."""


class Group(click.Group):
    """Turns errors that a person can mend into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except HotswapError as problem:
            click.echo(f"error: {problem}", err=True)
            ctx.exit(2)
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
            click.echo("error: The disk that the output goes to is full: free some space and try again.", err=True)
            _drop_output()
            ctx.exit(2)


def _drop_output() -> None:
    """What could not be written would be tried again, and be told again, when the interpreter ends."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


STORE = click.option(
    "--store",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("snapshots"),
    envvar="HOTSWAP_STORE",
    show_default="./snapshots",
    show_envvar=True,
    help="The folder that snapshots are kept in.",
)


DATABASE_VARIABLE = "HOTSWAP_DATABASE"
"""Has the URL of the database that snapshots are pushed to: it may tell a password."""


JSON = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON, for programs.")


def _folder(ctx: click.Context) -> Path:
    return Path(ctx.params.get("folder") or "snapshots")


def complete_snapshot(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For ``shell_complete``: the ids in the store that the command is about."""
    from hotswap.store import Store

    del param
    known = [one for one in Store(_folder(ctx)).list() if one.id.startswith(incomplete)]
    return [CompletionItem(one.short_id, help=f"{one.package}, {moment(one)}") for one in known]


def complete_app(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For ``shell_complete``: the applications that have a current version."""
    from hotswap.generations import applications

    del param
    return [CompletionItem(name) for name in applications(_folder(ctx)) if name.startswith(incomplete)]


def open_store(folder: Path, *, create: bool = False) -> Store:
    """The store in ``folder``; raises ``StoreError`` if there is none, unless the command may ``create`` it."""
    from hotswap.store import Store

    if not (create or (folder / "manifests").is_dir()):
        raise StoreError(f"There is no store in {folder}: name its folder with --store, or `hotswap freeze` first.")
    return Store(folder)


def check_outside(folder: Path, *packages: Path) -> None:
    """Raise ``SourceError`` if a new store in ``folder`` would be frozen with one of the packages on disk."""
    new = not (folder / "manifests").is_dir()
    if new and any(folder.resolve().is_relative_to(package.resolve()) for package in packages):
        raise inside(folder)


def inside(folder: Path) -> SourceError:
    """The error for a store that is in what it should keep."""
    return SourceError(f"The store {folder} is inside the package that is frozen: choose another folder with --store.")


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """Everything but the list of files."""
    facts = snapshot.to_dict()
    return {**facts, "files": len(facts["files"]), "size": snapshot.size}


def only_application(app: str | None, known: list[str], *, none: str, unnamed: str, unknown: str) -> str:
    """``app``, or the only one that is ``known``.

    Raises ``StoreError``: ``none`` if none is, else why ``app`` is not one, because it is ``unnamed`` or ``unknown``.
    """
    if app in known:
        return str(app)
    if app is None and len(known) == 1:
        return known[0]
    if not known:
        raise StoreError(none)
    raise StoreError(f"{unnamed if app is None else unknown}: it has {', '.join(known)}.")


def print_taken(frozen: Frozen, how: str, *, as_json: bool) -> None:
    """The id of a snapshot that came from elsewhere; to people also ``how``, and how much it is."""
    found = frozen.snapshot
    if as_json:
        print_json({**summary(found), "new": frozen.new})
        return
    click.echo(found.id)
    told = f"{how} {files_of(found)} of {found.package}, {size(found.size)}"
    click.echo(told if frozen.new else "already in the store, nothing written", err=True)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def print_table(table: Table) -> None:
    """Print a table; what may not wrap is never cut, and nothing is where no person looks at a terminal."""
    from rich.cells import cell_len
    from rich.console import Console

    for column in table.columns:
        if column.no_wrap:
            column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    console = Console(markup=False, emoji=False)  # names and messages are not ours
    if not console.is_terminal:
        console.width = _UNLIMITED
    console.print(table)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how much of some long work is done, while it is; on standard error, and only on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def new_table(*columns: str, wrap: Collection[str] = (), title: str | None = None) -> Table:
    """A table that wraps only the columns named in ``wrap``, at any character, where a terminal is too narrow."""
    from rich import box
    from rich.table import Column, Table

    made = [Column(name, no_wrap=name not in wrap, overflow="fold") for name in columns]
    right = (0, 1, 0, 0)
    return Table(
        *made, title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=right
    )


def one_line(text: str) -> Text:
    """A cell of a column that wraps: the first line of ``text``, with an ellipsis for what does not fit."""
    from rich.text import Text

    return Text(text.partition("\n")[0], no_wrap=True, overflow="ellipsis")


def commit_of(snapshot: Snapshot, length: int = 12) -> str:
    origin = snapshot.origin
    if origin.commit is None:
        return "none"
    return f"{origin.commit[:length]}{' (dirty)' if origin.dirty else ''}"


def files_of(snapshot: Snapshot) -> str:
    count = len(snapshot.files)
    return f"{count} file{'s' * (count != 1)}"


def moment(snapshot: Snapshot) -> str:
    return snapshot.frozen_at.astimezone().strftime("%Y-%m-%d %H:%M")


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
