"""``hotswap worker | promote | current | generations``: run a dramatiq project, and say which version is current."""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotswap.cli._common import (
    JSON,
    STORE,
    check_outside,
    complete_app,
    complete_snapshot,
    new_table,
    only_application,
    open_store,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from hotswap.fleet import Limits
    from hotswap.generations import FileGenerations, Generation
    from hotswap.snapshot import Snapshot
    from hotswap.store import Store


Facts = dict[str, Any]


IMPORT_TIMEOUT = click.option(
    "--import-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that a version may take to import.",
)
IMPORT_MEMORY = click.option(
    "--import-memory",
    type=click.IntRange(64),
    default=8192,
    show_default=True,
    help="MB of address space for it meanwhile.",
)


@click.command(short_help="Run dramatiq actors, and take new code live.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--broker", "url", envvar="HOTSWAP_BROKER", required=True, show_envvar=True, help="redis://host:port/db")
@click.option("--rev", help="Run this commit, branch or tag, and do not follow what comes after it.")
@click.option("--no-watch", is_flag=True, help="Run what there is now; only `hotswap promote` changes it.")
@click.option("--threads", type=click.IntRange(1), default=8, show_default=True, help="Messages at once, per version.")
@click.option(
    "--grace", type=click.FloatRange(0), default=10.0, show_default=True, help="Seconds to end in, when told."
)
@click.option("--namespace", default="dramatiq", show_default=True, help="How keys begin on the broker.")
@click.option("--memory", type=click.IntRange(1), help="MB for all versions together; new ones wait for it.")
@IMPORT_TIMEOUT
@IMPORT_MEMORY
@STORE
@JSON
def worker(
    path: Path,
    url: str,
    rev: str | None,
    no_watch: bool,
    threads: int,
    grace: float,
    namespace: str,
    memory: int | None,
    import_timeout: float,
    import_memory: int,
    folder: Path,
    as_json: bool,
) -> None:
    """Run the dramatiq actors of the package in the folder PATH, and take new code live while they work.

    In a git repository each commit that is checked out goes live, elsewhere each save. Messages sent from then on run
    the new code; those sent before run the code they were sent to, however long it takes. Code that does not import is
    refused. Ctrl-C ends it: what runs may finish within the grace period, everything else waits on the broker.

    \b
    hotswap worker my_app --broker redis://localhost:6379/0
    """
    from hotswap.fleet import Limits
    from hotswap.worker.code import Code
    from hotswap.worker.live import Settings

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    limits = Limits(import_timeout, import_memory)
    settings = Settings(url, threads, grace, namespace, memory, limits)
    code = Code(path, rev)
    if not code.in_git:
        check_outside(folder, path)
    _supervise(code, open_store(folder, create=True), settings, follow=not (no_watch or rev), as_json=as_json)


@click.command(short_help="Make a snapshot current.")
@click.argument("snapshot", shell_complete=complete_snapshot)
@click.option("--reason", default="promoted by hand", show_default=True, help="Kept in the history.")
@IMPORT_TIMEOUT
@IMPORT_MEMORY
@STORE
@JSON
def promote(snapshot: str, reason: str, import_timeout: float, import_memory: int, folder: Path, as_json: bool) -> None:
    """Make the snapshot with the id SNAPSHOT current, if a worker can run it. This is how to roll back, too.

    New messages go to it at once; what runs goes on with the code it began with.

    \b
    hotswap promote 3f9a
    """
    from hotswap.fleet import Limits

    store = open_store(folder)
    found = store.open(snapshot)
    generations, current = _ledger(store, found.package)
    if current is None or current.snapshot != found.id:
        _check(store, found, Limits(import_timeout, import_memory))
        current = _promote(store, generations, found, current, reason)
    if as_json:
        print_json(current.to_dict())
    else:
        click.echo(f"generation {current.number} of {found.package} is {found.short_id}")


@click.command("current", short_help="Print the id of the current snapshot.")
@click.argument("app", required=False, shell_complete=complete_app)
@STORE
@JSON
def show_current(app: str | None, folder: Path, as_json: bool) -> None:
    """Print the id of the snapshot that is current for the application APP.

    APP may be left out where it is the only one in the store.

    \b
    hotswap current my_app
    """
    store = open_store(folder)
    _, current = _ledger(store, _application(folder, app))
    assert current is not None, "known applications have a current generation"
    if as_json:
        print_json(current.to_dict())
    else:
        click.echo(current.snapshot)


@click.command("generations", short_help="List what was current, the newest first.")
@click.argument("app", required=False, shell_complete=complete_app)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, from the newest on.")
@STORE
@JSON
def list_generations(app: str | None, limit: int, folder: Path, as_json: bool) -> None:
    """List what was current for the application APP, the newest first.

    \b
    hotswap generations my_app
    """
    store = open_store(folder)
    generations, _ = _ledger(store, _application(folder, app))
    history = generations.history(limit)
    if as_json:
        print_json([one.to_dict() for one in history])
    else:
        print_table(_table(history))


def _supervise(code: Any, store: Store, settings: Any, *, follow: bool, as_json: bool) -> None:
    from hotswap.generations import FileGenerations
    from hotswap.worker.live import LiveVersions
    from hotswap.worker.supervisor import Supervisor

    tell = _tell_json if as_json else _tell_person
    live = LiveVersions(store, code.package, settings, lambda one, why: tell("stranded", snapshot=one, reason=why))
    ended = False
    try:
        supervisor = Supervisor(code, store, FileGenerations(store.root, code.package), live, tell, follow=follow)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: supervisor.stop())
        tell("started", app=code.package, follows=_followed(code, follow=follow), logs=str(live.logs))
        supervisor.run()
        tell("stopping", grace=settings.grace)
        ended = True
    finally:
        live.close(end=ended)
    tell("stopped")


def _followed(code: Any, *, follow: bool) -> str:
    return ("commits" if code.in_git else "saves") if follow else "nothing"


def _tell_json(event: str, /, **facts: Any) -> None:
    click.echo(json.dumps({"event": event, **facts}))


def _tell_person(event: str, /, **facts: Any) -> None:
    click.echo(_SENTENCES[event](facts))


def _short(facts: Facts, name: str = "snapshot") -> str:
    return str(facts[name])[:12]


_SENTENCES: dict[str, Callable[[Facts], str]] = {
    "started": lambda f: f"{f['app']}: following {f['follows']}; logs in {f['logs']}",
    "current": lambda f: (
        f"generation {f['number']} is current: {_short(f)}, {f['reason']}"
        + "".join(f"; {one[:12]} drains" for one in f["draining"])
    ),
    "drained": lambda f: f"{_short(f)} is drained",
    "refused": lambda f: f"refused: {f['reason']} What is current stays so.",
    "waits": lambda f: f"a new version waits: {f['reason']}",
    "stranded": lambda f: f"messages of {_short(f)} wait: {f['reason']}",
    "kept": lambda f: f"{_short(f)} stays current: {_short(f, 'instead_of')} was rolled back before",
    "trouble": lambda f: f["reason"],
    "stopping": lambda f: f"stopping: what runs has {f['grace']:g} s to finish",
    "stopped": lambda _: "stopped",
}


def _ledger(store: Store, app: str) -> tuple[FileGenerations, Generation | None]:
    from hotswap.generations import FileGenerations

    generations = FileGenerations(store.root, app)
    return generations, generations.current()


def _application(folder: Path, app: str | None) -> str:
    from hotswap.generations import applications

    return only_application(
        app,
        applications(folder),
        none=f"Nothing is current in {folder}: start `hotswap worker` first.",
        unnamed=f"Name the application whose versions are kept in {folder}",
        unknown=f"Nothing is current in {folder} for {app}",
    )


def _check(store: Store, snapshot: Snapshot, limits: Limits) -> None:
    from hotswap import drift
    from hotswap.worker.live import check

    if changes := drift.check(store, snapshot):
        click.echo(f"warning: {drift.sentence(snapshot.id, changes)}", err=True)
    check(store, snapshot.id, limits)


def _promote(
    store: Store, generations: FileGenerations, snapshot: Snapshot, current: Generation | None, reason: str
) -> Generation:
    """By hand; repeating an earlier generation is a roll back."""
    from hotswap.worker.live import held_for

    store.hold(snapshot.id, held_for(snapshot.package))
    earlier = [one.number for one in generations.history(limit=1_000) if one.snapshot == snapshot.id]
    return generations.promote(
        snapshot.id,
        expected=current.number if current else None,
        commit=snapshot.origin.commit,
        dirty=snapshot.origin.dirty,
        environment=snapshot.environment.digest,
        actor=os.environ.get("USER") or f"user {os.getuid()}",
        reason=reason,
        rolled_back_to=earlier[0] if earlier else None,
    )


def _table(history: list[Generation]) -> Table:
    reasons = [_reason(one) for one in history]
    table = new_table(
        "number", "snapshot", "commit", "since", "by", *(["reason"] if any(reasons) else []), wrap=("reason",)
    )
    for one, reason in zip(history, reasons, strict=True):
        commit = f"{one.commit[:7]}{' (dirty)' if one.dirty else ''}" if one.commit else "none"
        since = one.activated_at.astimezone().strftime("%Y-%m-%d %H:%M")
        row = (str(one.number), one.snapshot[:12], commit, since, one.actor)
        table.add_row(*row, *([reason] if any(reasons) else []))
    return table


def _reason(one: Generation) -> str:
    """Nothing if it is only the commit again."""
    reason = "" if one.commit and one.reason == f"commit {one.commit[:12]}" else one.reason
    return f"{reason} (as generation {one.rolled_back_to})".strip() if one.rolled_back_to else reason
