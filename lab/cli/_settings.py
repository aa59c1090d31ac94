"""``lab config | validate | logs``: settings, code and logs, without the lab's answering."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from lab.cli._common import as_json, config_of, in_lab, print_facts, tell


@click.group(invoke_without_command=True)
@as_json
@in_lab
@click.pass_context
def config(context: click.Context, folder: Path | None, as_json: bool) -> None:
    """List the settings in effect, and where each comes from.

    Secrets are not shown.

    \b
    Examples:
      lab config
      lab config import config.toml
    """
    from lab import display
    from lab.settings.effective import effective

    if context.invoked_subcommand is None:
        print_facts(as_json, [asdict(setting) for setting in effective(folder)], display.show_settings)


@config.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def import_config(file: Path, as_json: bool) -> None:
    """Write a lab.toml of an AlabOS FILE, config.toml.

    Beside the lab package; secrets into files of their own. What could not be carried over is told.

    \b
    Example:
      lab config import my_lab/config.toml
    """
    from lab.settings.peer_config import carry_over, write

    carried = carry_over(file)
    target = write(carried)
    notes = "".join(f"\n- {note}" for note in carried.notes)
    tell(as_json, {"file": str(target), "notes": carried.notes}, f"Wrote {target}. To be looked at:{notes}")


@click.command()
@click.argument("rev", required=False)
@as_json
@in_lab
def validate(folder: Path | None, rev: str | None, as_json: bool) -> None:
    """Check lab.toml, and import the code, without launching.

    The saved files, or REV. What a launch or a refresh would refuse for is told, with file and line: exit code 2.

    \b
    Examples:
      lab validate
      lab validate my-branch
    """
    from lab import validation

    settings = config_of(folder)
    settings.revealed()
    facts = validation.validate(settings, rev)
    counts = ", ".join(f"{len(facts[name])} {name}" for name in ("devices", "tasks", "positions"))
    tell(as_json, facts, f"{settings.path} and {settings.general.package} are fine: {counts}.")


@click.command()
@click.argument("process", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, help="How many of each log.")
@as_json
@in_lab
def logs(folder: Path | None, process: str | None, follow: bool, lines: int, as_json: bool) -> None:
    """Print the logs of the lab, or of a PROCESS.

    PROCESS is a name as `lab status --json` has it, or how it begins: `managers`, `worker`. With --json each line is an
    object.

    \b
    Examples:
      lab logs -n 50
      lab logs worker -f
    """
    from lab import logs as reading

    found = reading.logs_of(config_of(folder).general.state_dir, process)
    width = max(len(name) for name in found)
    for line in reading.lines_of(found, lines, follow=follow):
        click.echo(json.dumps(asdict(line)) if as_json else f"{line.process:{width}} | {line.text}")
