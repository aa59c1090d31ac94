"""``hotswap freeze``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotswap.cli._broken import warn_of
from hotswap.cli._common import (
    JSON,
    STORE,
    check_outside,
    files_of,
    inside,
    open_store,
    print_json,
    progress_bar,
    size,
    summary,
)
from hotswap.errors import SourceError

if TYPE_CHECKING:
    from hotswap.snapshot import Snapshot
    from hotswap.source import GitSource, Source
    from hotswap.store import Frozen, Store


@click.command(short_help="Freeze a package and print the id of the snapshot.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--rev", help="Freeze this commit, branch or tag from git, instead of what is on disk.")
@click.option(
    "--extra", multiple=True, type=click.Path(path_type=Path), help="Another local package to freeze beside it."
)
@click.option("--no-local", is_flag=True, help="Do not freeze the local packages that it imports.")
@STORE
@JSON
def freeze(path: Path, rev: str | None, extra: tuple[Path, ...], no_local: bool, folder: Path, as_json: bool) -> None:
    """Freeze the package in the folder PATH and print the id of the snapshot.

    The local packages that it imports are frozen beside it. The same content gets the same id on any machine, and is
    stored once.

    \b
    hotswap freeze labs/my_lab
    hotswap freeze labs/my_lab --rev main~3 --store /var/lib/lab/store
    """
    if rev is None:
        check_outside(folder, path, *extra)
    store = open_store(folder, create=True)
    frozen = _freeze(path, rev, extra, store, local=not no_local)
    warn_of(frozen.snapshot, store)
    if as_json:
        print_json({**summary(frozen.snapshot), "new": frozen.new})
        return
    click.echo(frozen.snapshot.id)
    click.echo(_told(frozen), err=True)


def _freeze(path: Path, rev: str | None, extra: tuple[Path, ...], store: Store, *, local: bool) -> Frozen:
    from hotswap.source import TreeSource

    if rev is None:
        return _freeze_with_bar(TreeSource(path, extra=extra, local=local), store)
    with _git_source(path, rev, extra, local=local) as source:
        return _freeze_with_bar(source, store)


def _freeze_with_bar(source: Source, store: Store) -> Frozen:
    try:
        with progress_bar("reading") as progress:
            return store.ensure(source, progress=progress)
    except SourceError as problem:
        if str(store.root) not in str(problem):
            raise
        raise inside(store.root) from problem


def _git_source(path: Path, rev: str, extra: tuple[Path, ...], *, local: bool) -> GitSource:
    from hotswap.source import GitSource, open_repository

    with open_repository(_there(path)) as repository:  # what a commit has may be gone from the disk
        top = Path(repository.working_tree_dir or repository.git_dir)
    places = [_relative(one, top) for one in (path, *extra)]
    return GitSource(top, places[0], rev, extra=tuple(places[1:]), local=local)


def _there(path: Path) -> Path:
    """The folder at ``path``, or the nearest one above it."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


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
    of = " and ".join([snapshot.package, *_beside(snapshot)])
    return f"frozen {files_of(snapshot)} of {of}, {size(snapshot.size)}, from {commit}{changes}"


def _beside(snapshot: Snapshot) -> list[str]:
    from hotswap.roots import modules

    found = modules(entry.path for entry in snapshot.files)
    return sorted(name for name in found - {snapshot.package} if name.isidentifier())
