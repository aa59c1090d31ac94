"""``lab skip | resume``: experiments that a failure stopped go on."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, tell


@click.command()
@click.argument("task")
@as_json
@in_lab
def skip(folder: Path | None, task: str, as_json: bool) -> None:
    """Have TASK count as COMPLETED; those after it go on.

    It has failed, is LOST, was cancelled, or has not started; what it holds is given back. Whoever skips it has seen to
    the samples.

    \b
    Example:
      lab skip 665f0c3b9a7e4d1f2a3b4c5d
    """
    facts = client_of(config_of(folder)).skip(task)
    said = "is skipped" if facts["status"] == "COMPLETED" else "will be skipped when its turn comes"
    tell(as_json, facts, f"Task {task} {said}.")


@click.command()
@click.argument("experiment")
@as_json
@in_lab
def resume(folder: Path | None, experiment: str, as_json: bool) -> None:
    """Retry all failed tasks of EXPERIMENT.

    Those that were cancelled because one failed wait for it again. A LOST task needs a decision of its own, `lab retry`
    or `lab skip`.

    \b
    Example:
      lab resume 665f0c3b9a7e4d1f2a3b4c5d
    """
    facts = client_of(config_of(folder)).resume(experiment)
    count = len(facts["retried"])
    tell(as_json, facts, f"{count} failed {'task runs' if count == 1 else 'tasks run'} again.")
