"""``lab init | launch | stop``: a laboratory from its first folder to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, tell

if TYPE_CHECKING:
    from lab.settings.config import LabConfig

STOP_SECONDS = 60.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--package", help="What the lab package is called.")
@click.option("--auto-refresh", is_flag=True, help="Take each commit live by itself.")
@as_json
def init(folder: Path, package: str | None, auto_refresh: bool, as_json: bool) -> None:
    """Write the starter lab into FOLDER, as a git repository.

    \b
    Example:
      lab init my_lab --auto-refresh
    """
    from lab.init import create_lab

    made = create_lab(folder, package, auto_refresh)
    tell(as_json, {"folder": str(made)}, f"Made a lab in {made}; start it with `cd {folder} && lab launch`.")


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return once it runs.")
@in_lab
def launch(folder: Path | None, detach: bool) -> None:
    """Start the lab and keep it running.

    That is database, broker, managers, drivers and workers.

    \b
    Examples:
      lab launch             stays in this terminal; Ctrl-C ends it
      lab launch --detach    goes on in the background; `lab stop` ends it
    """
    from lab.services import supervisor

    config = config_of(folder)
    config.check_package()
    supervisor.launch(config, detach)


@click.command()
@click.option("-f", "--force", is_flag=True, help="Stop although tasks are at work; they are LOST.")
@as_json
@in_lab
def stop(folder: Path | None, force: bool, as_json: bool) -> None:
    """Stop everything that `lab launch` started.

    \b
    Examples:
      lab stop
      lab stop --force
    """
    config = config_of(folder)
    from lab.client import ClientError
    from lab.services import supervisor

    supervisor.take_over(config)
    try:
        client_of(config).shut_down(force=force)
        ended = _wait_for_supervisor(config)
    except ClientError as error:
        if error.status:
            raise
        ended = False
    stopped = ended or supervisor.stop(config)
    tell(as_json, {"stopped": stopped}, "The lab has stopped." if stopped else "The lab does not run.")


def _wait_for_supervisor(config: LabConfig) -> bool:
    """Whether the supervisor has ended in time."""
    from lab.services import supervisor

    identity = supervisor.running(config)
    return identity is None or identity.wait(STOP_SECONDS)
