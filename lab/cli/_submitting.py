"""``lab submit | templates``: experiments, from files and from templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lab.cli._common import UsageError, as_json, assignment, client_of, config_of, in_lab, print_facts, tell


@click.command()
@click.argument("words", nargs=-1, metavar="FILE | [KEY=VALUE]...")
@click.option("--template", metavar="NAME", help="Make the experiment from a template of current code.")
@click.option("--dry-run", is_flag=True, help="Print the experiment, and submit nothing.")
@as_json
@in_lab
def submit(folder: Path | None, words: tuple[str, ...], template: str | None, dry_run: bool, as_json: bool) -> None:
    """Submit the experiment in FILE, or from a template.

    FILE is JSON or YAML; `-` reads standard input. With --template, give its parameters: a VALUE is JSON, or a text if
    it is none.

    \b
    Examples:
      lab submit experiment.json
      lab submit experiment.yaml
      generate_experiment | lab submit - --json
      lab submit --template firing powder=quartz samples=2
    """
    experiment = _read(words) if template is None else _expanded(folder, template, words)
    if dry_run:
        import json

        click.echo(json.dumps(experiment, indent=2, ensure_ascii=False))
        return
    identifier = client_of(config_of(folder)).submit(experiment)
    tell(as_json, {"id": identifier}, f"Submitted experiment {identifier}.")


@click.command()
@as_json
@in_lab
def templates(folder: Path | None, as_json: bool) -> None:
    """List the experiment templates of current code.

    Each with its parameters; what is in brackets has a default. The JSON has their schema.

    \b
    Example:
      lab templates
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).get("templates"), display.show_templates)


def _read(words: tuple[str, ...]) -> dict[str, Any]:
    from lab.experiments.experiment_file import read

    if len(words) != 1:
        raise UsageError("Give one FILE with the experiment, or --template and its parameters.")
    with click.open_file(words[0], "rb") as file:
        return read(file.read(), "Standard input" if words[0] == "-" else words[0])


def _expanded(folder: Path | None, template: str, words: tuple[str, ...]) -> dict[str, Any]:
    return client_of(config_of(folder)).expand(template, dict(map(assignment, words)))
