"""``lab status | tasks | experiments | cancel | retry``: the work of a laboratory."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import UsageError, as_json, client_of, config_of, console, in_lab, print_facts, tell


@click.command()
@click.argument("experiment", required=False)
@as_json
@in_lab
def status(folder: Path | None, experiment: str | None, as_json: bool) -> None:
    """Show the lab at a glance, or one EXPERIMENT.

    \b
    Examples:
      lab status
      lab status 665f0c3b9a7e4d1f2a3b4c5d --json
    """
    from lab import display

    client = client_of(config_of(folder))
    if experiment is None:
        print_facts(as_json, client.status(), display.show_status)
        return
    facts = client.experiment(experiment)
    tell(as_json, facts, f"{facts['name']}: {facts['status']}")
    if not as_json:
        display.show_tasks(console(), facts["tasks"])


@click.command()
@click.argument("task", required=False)
@click.option("--status", "wanted", help="Only those in this status, such as RUNNING.")
@click.option("--experiment", help="Only those of this experiment.")
@as_json
@in_lab
def tasks(folder: Path | None, task: str | None, wanted: str | None, experiment: str | None, as_json: bool) -> None:
    """List tasks, newest experiment first, or tell of one.

    Everything about it is in its JSON.

    \b
    Examples:
      lab tasks --status RUNNING
      lab tasks 665f0c3b9a7e4d1f2a3b4c5d
    """
    from lab import display

    client = client_of(config_of(folder))
    if task is not None:
        print_facts(as_json, client.task(task), display.show_task)
        return
    query = {"status": status_of(wanted), "experiment": experiment}
    print_facts(as_json, client.get("tasks", query), display.show_tasks)


@click.command()
@as_json
@in_lab
def experiments(folder: Path | None, as_json: bool) -> None:
    """List experiments, the newest first.

    \b
    Example:
      lab experiments
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).get("experiments"), display.show_experiments)


@click.command()
@click.argument("task_or_experiment")
@click.option("--stop-devices", is_flag=True, help="Stop each device that it holds, as `lab emergency-stop` does.")
@as_json
@in_lab
def cancel(folder: Path | None, task_or_experiment: str, stop_devices: bool, as_json: bool) -> None:
    """Cancel a task, or all unfinished tasks of an experiment.

    \b
    Examples:
      lab cancel 665f0c3b9a7e4d1f2a3b4c5d
      lab cancel 665f0c3b9a7e4d1f2a3b4c5d --stop-devices
    """
    from lab.client import ClientError

    client = client_of(config_of(folder))
    try:
        facts = client.cancel(task_or_experiment, stop_devices=stop_devices)
    except ClientError as error:
        if error.status != 404:
            raise
        facts = client.cancel_experiment(task_or_experiment, stop_devices=stop_devices)
    said = "is cancelled" if facts["status"] == "CANCELLED" else "was asked to stop"
    tell(as_json, facts, f"{task_or_experiment} {said}.")


@click.command()
@click.argument("task")
@as_json
@in_lab
def retry(folder: Path | None, task: str, as_json: bool) -> None:
    """Run a LOST, ABANDONED or failed TASK again from its start.

    It runs the code it is pinned to.

    \b
    Example:
      lab retry 665f0c3b9a7e4d1f2a3b4c5d
    """
    facts = client_of(config_of(folder)).retry(task)
    tell(as_json, facts, f"Task {task} is {facts['status']} for attempt {facts['attempt'] + 1}.")


def status_of(wanted: str | None) -> str | None:
    from lab.records import TaskStatus

    if wanted is not None and wanted.upper() not in TaskStatus.__members__:
        raise UsageError(f"There is no status {wanted!r}; use one of {', '.join(TaskStatus)}.")
    return wanted.upper() if wanted else None
