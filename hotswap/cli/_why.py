"""``hotswap why``: what a class depends on that changed between two snapshots."""

from __future__ import annotations

from pathlib import Path

import click

from hotswap.cli._broken import warn_of_unknown_classes
from hotswap.cli._common import JSON, STORE, complete_snapshot, open_store, print_json


@click.command(short_help="Tell why a class may behave differently.")
@click.argument("before", shell_complete=complete_snapshot)
@click.argument("after", shell_complete=complete_snapshot)
@click.argument("class_name", metavar="MODULE:CLASS")
@click.option(
    "--registration",
    "registration",
    multiple=True,
    metavar="FUNCTION",
    help="A function, such as lab.add_device, that only records what it is given: its calls do not count. Repeatable.",
)
@STORE
@JSON
def why(before: str, after: str, class_name: str, registration: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Tell why a class may behave differently in AFTER than in BEFORE: what it depends on that changed.

    Exit code 0 if nothing did, 1 if something did.

    \b
    hotswap why 3f9a 81cc my_lab.furnace:Furnace --registration lab.add_device
    """
    from hotswap.closure import Closure, explain
    from hotswap.compare import compare
    from hotswap.errors import UnknownClassError

    store = open_store(folder)
    old, new = store.open(before), store.open(after)
    recorded = frozenset(registration)
    trees = [Closure.of(store, snapshot.id, registration=recorded) for snapshot in (old, new)]
    explanation = explain(trees[0], trees[1], class_name, environment=compare(old, new).environment)
    if not any(tree.belongs(class_name) for tree in trees):
        module = class_name.partition(":")[0]
        raise UnknownClassError(f"Neither version has the module {module}: name a class of the frozen package.")
    warn_of_unknown_classes(store, old, new)
    if as_json:
        print_json(explanation.to_dict())
    else:
        click.echo("\n".join(explanation.lines()))
    click.get_current_context().exit(1 if explanation.changed else 0)
