"""What the commands share: the way errors are told, their common options, and how facts are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from hotswap.errors import HotswapError

if TYPE_CHECKING:
    from rich.table import Table

    from hotswap.snapshot import Snapshot
    from hotswap.store import Store


class Group(click.Group):
    """Turns errors that a person can mend into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HotswapError as problem:
            click.echo(f"error: {problem}", err=True)
            ctx.exit(2)


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


JSON = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON, for programs.")


def _folder(ctx: click.Context) -> Path:
    return Path(ctx.params.get("folder") or "snapshots")


def complete_snapshot(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For ``shell_complete``: the ids in the store that the command is about."""
    del param
    known = [one for one in open_store(_folder(ctx)).list() if one.id.startswith(incomplete)]
    return [CompletionItem(one.short_id, help=f"{one.package}, {moment(one)}") for one in known]


def complete_app(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For ``shell_complete``: the applications that have a current version."""
    from hotswap.generations import applications

    del param
    return [CompletionItem(name) for name in applications(_folder(ctx)) if name.startswith(incomplete)]


def open_store(folder: Path) -> Store:
    from hotswap.store import Store

    return Store(folder)


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """Everything but the list of files."""
    facts = snapshot.to_dict()
    return {**facts, "files": len(facts["files"]), "size": snapshot.size}


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def print_rich(renderable: object) -> None:
    from rich.console import Console

    Console(markup=False, emoji=False).print(renderable)  # names and messages are not ours


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how much of some long work is done, while it is; on standard error, and only on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def new_table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table

    return Table(*columns, title=title, title_justify="left")


def commit_of(snapshot: Snapshot) -> str:
    origin = snapshot.origin
    if origin.commit is None:
        return "none"
    return f"{origin.commit[:12]} (dirty)" if origin.dirty else origin.commit[:12]


def moment(snapshot: Snapshot) -> str:
    return snapshot.frozen_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
