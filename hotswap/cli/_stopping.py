"""``hotswap stop``: end what runs of an application."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotswap.cli._common import JSON, STORE, only_application, open_store, print_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from hotswap.worker.stopping import Ended


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from hotswap.worker.folder import applications

    del param
    found = applications(Path(ctx.params.get("folder") or "snapshots"))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


@click.command(short_help="End the worker, and all that one left running.")
@click.argument("app", required=False, shell_complete=_complete)
@STORE
@JSON
def stop(app: str | None, folder: Path, as_json: bool) -> None:
    """End the worker of the application APP, and all processes that a worker which was killed has left running.

    What runs has the grace period that its worker was given; what does not finish waits on the broker, for the next
    worker. The broker need not be there. APP may be left out where it is the only one in the store.

    \b
    hotswap stop my_app
    """
    from hotswap.worker.stopping import stop

    store = open_store(folder)
    name = _application(folder, app)
    ended = stop(store, name, lambda text: click.echo(text, err=True))
    if as_json:
        print_json({"app": name, "worker": ended.worker, "versions": ended.versions})
    else:
        click.echo(_told(name, ended))


def _application(folder: Path, app: str | None) -> str:
    from hotswap.worker.folder import applications

    return only_application(
        app,
        applications(folder),
        none=f"No `hotswap worker` has run on the store {folder}: name the store of yours with --store.",
        unnamed="Name the application to stop",
        unknown=f"No worker of {app} has run on the store {folder}",
    )


def _told(app: str, ended: Ended) -> str:
    if ended.worker is None and not ended.versions:
        return f"Nothing of {app} runs."
    worker = [] if ended.worker is None else [f"the worker, process {ended.worker}"]
    return f"{app} is stopped: {', '.join([*worker, *ended.versions])}."
