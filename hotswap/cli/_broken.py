"""Warnings of what is wrong with the code of a snapshot, which is frozen as it is."""

from __future__ import annotations

import os
from importlib.util import cache_from_source
from itertools import islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hotswap.snapshot import Snapshot
    from hotswap.store import Store

_TOLD = 3


def warn_of(snapshot: Snapshot, store: Store) -> None:
    """Name on stderr what keeps code from being imported."""
    if all(entry.path != f"{snapshot.package}/__init__.py" for entry in snapshot.files):
        click.echo(f"warning: {snapshot.package} has no __init__.py: is the package a folder in it?", err=True)
    for problem in islice(_broken(snapshot, store), _TOLD):
        click.echo(f"warning: {problem}", err=True)


def warn_of_unknown_classes(store: Store, *snapshots: Snapshot) -> None:
    """Name on stderr the files whose classes cannot be told, so that a comparison takes them for removed."""
    for snapshot in snapshots:
        for problem in islice(_broken(snapshot, store), _TOLD):
            click.echo(f"warning: in {snapshot.id[:12]}, {problem}; its classes count as absent", err=True)


def _broken(snapshot: Snapshot, store: Store) -> Iterator[str]:
    """Of each file of Python that has no byte-code in the store, why it has none."""
    tree = store.tree(snapshot.id)
    for entry in snapshot.files:
        file = str(tree / entry.path)
        if not file.endswith(".py") or os.path.exists(cache_from_source(file)):  # noqa: PTH110 - there are thousands
            continue
        try:
            compile(store.content(entry), entry.path, "exec", dont_inherit=True)
        except SyntaxError as problem:
            yield f"{entry.path}, line {problem.lineno}, does not compile: {problem.msg}"
        except (ValueError, RecursionError, MemoryError) as problem:
            yield f"{entry.path} does not compile: {problem}"
