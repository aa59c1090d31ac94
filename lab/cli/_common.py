"""What the commands share: the way errors are told, their common options, and how facts are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotswap.errors import HotswapError

if TYPE_CHECKING:
    from rich.console import Console

    from lab.client import LabClient
    from lab.settings.config import LabConfig


_INTERRUPTED = 130  # as shells have it: 1 would tell what a command found


class UsageError(HotswapError):
    """What was typed cannot be carried out."""


class Group(click.Group):
    """Prints an error that a person can mend as one sentence and exits with 2; after Ctrl-C with 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("lab: interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except HotswapError as error:
            said = str(error)
        except OSError as error:
            if error.filename is None:
                raise
            said = f"{error.filename} cannot be used ({error.strerror}); correct its path or its permissions."
        click.echo(f"lab: {said}", err=True)
        sys.exit(2)


in_lab = click.option(
    "-c",
    "--config",
    "folder",
    type=click.Path(path_type=Path),
    help="The lab's folder or lab.toml (default: the nearest one from here upwards).",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")


def config_of(folder: Path | None) -> LabConfig:
    from lab.settings.config import load

    return load(folder)


def client_of(config: LabConfig) -> LabClient:
    from lab import connection

    return connection.client_of(config)


def assignment(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``: the value is JSON, or a text if it is none. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"{text!r} gives no parameter a value; write it as KEY=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def tell(as_json: bool, facts: Any, sentence: str) -> None:
    click.echo(json.dumps(facts, indent=2) if as_json else sentence)


def print_facts(as_json: bool, facts: Any, table: Callable[[Console, Any], None]) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        table(console(), facts)


def console() -> Console:
    from rich.console import Console

    # In a file or a pipe there is no edge to wrap lines at.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
