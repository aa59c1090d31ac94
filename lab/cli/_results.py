"""``lab result``: what a task returned, printed or saved."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from lab.cli._common import UsageError, as_json, client_of, config_of, in_lab, tell


@click.command()
@click.argument("task")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Save it to this file.")
@as_json
@in_lab
def result(folder: Path | None, task: str, name: str | None, output: Path | None, as_json: bool) -> None:
    """Print or save the result of TASK, or its part NAME.

    A large result is saved as it is; everything else is JSON. NAME may lead inwards: `scan.image`.

    \b
    Examples:
      lab result 665f0c3b9a7e4d1f2a3b4c5d
      lab result 665f0c3b9a7e4d1f2a3b4c5d image -o image.tif
    """
    from lab.results.large_result import download, is_reference

    client = client_of(config_of(folder))
    found = _part(client.task(task)["result"], name, task)
    if output is None and (as_json or not is_reference(found) or sys.stdout.isatty()):
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif output is None:
        download(found, client.download, sys.stdout.buffer.write)
    else:
        with _complete(output) as file:
            if is_reference(found):
                download(found, client.download, file.write)
            else:
                file.write(json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n")
        tell(as_json, {"saved": str(output)}, f"Saved {output}.")


def _part(found: Any, name: str | None, task: str) -> Any:
    """What ``name`` leads to, from key to key and index to index."""
    for step in [] if name is None else _steps(found, name):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            there = f"; it has {', '.join(found)}" if isinstance(found, Mapping) and found else ""
            raise UsageError(f"The result of task {task} has no {name!r}{there}.")
    return found


def _steps(found: Any, name: str) -> list[str]:
    """A name that has a dot in it is one all the same."""
    return [name] if isinstance(found, Mapping) and name in found else name.split(".")


@contextmanager
def _complete(path: Path) -> Iterator[BinaryIO]:
    """A file that is there when all of it is written, and not before."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
