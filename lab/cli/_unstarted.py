"""``lab move | edit``: tasks that have not started, or are stopped."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lab.cli._common import UsageError, as_json, assignment, client_of, config_of, in_lab, tell


@click.command()
@click.argument("task_or_experiment")
@click.option("--to", default="current", show_default=True, help="`current`, or the id of code that was live.")
@as_json
@in_lab
def move(folder: Path | None, task_or_experiment: str, to: str, as_json: bool) -> None:
    """Bind a task that has not started to other code.

    One that is LOST, ABANDONED or failed runs again from its start with it. Of an experiment, all tasks that have not
    started. They are constructed and validated with that code first.

    \b
    Examples:
      lab move 665f0c3b9a7e4d1f2a3b4c5d --to current
      lab move 665f0c3b9a7e4d1f2a3b4c5d --to 3f9a81cc
    """
    from lab.client import ClientError

    client = client_of(config_of(folder))
    try:
        facts = client.move(task_or_experiment, to)
        moved, pin = 1, facts["pin"]
    except ClientError as error:
        if error.status != 404 or "no task" not in str(error):
            raise
        facts = pin = client.move_experiment(task_or_experiment, to)
        moved = len(facts["moved"])
    tasks = "1 task runs" if moved == 1 else f"{moved} tasks run"
    tell(as_json, facts, f"{tasks} code version {pin['snapshot'][:12]}, generation {pin['generation']}.")


@click.command()
@click.argument("task")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--remove", multiple=True, metavar="KEY", help="A parameter to leave to its default; repeatable.")
@as_json
@in_lab
def edit(folder: Path | None, task: str, changes: tuple[str, ...], remove: tuple[str, ...], as_json: bool) -> None:
    """Change parameters of a TASK that has not started.

    A VALUE is JSON, or a text if it is none. The code that the task is bound to has to take them. A held task is free
    then.

    \b
    Example:
      lab edit 665f0c3b9a7e4d1f2a3b4c5d minutes=30 --remove rate
    """
    if not (changes or remove):
        raise UsageError("Nothing is to be changed; say KEY=VALUE, or --remove KEY.")
    facts = client_of(config_of(folder)).edit(task, dict(map(assignment, changes)), remove)
    tell(as_json, facts, f"Task {task} has the parameters {json.dumps(facts['parameters'])}.")
