"""``lab``: make, launch and look after a laboratory. Imports late, so that ``--help`` is there at once."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotswap.errors import HotswapError

if TYPE_CHECKING:
    from rich.console import Console

    from lab.client import LabClient
    from lab.config import LabConfig

STOP_SECONDS = 60.0


class UsageError(HotswapError):
    """What was typed cannot be carried out."""


class _Group(click.Group):
    """Prints an error that a person can mend as one sentence and exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
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


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hotswap-lab")
def main() -> None:
    """A laboratory whose code can change while it runs.

    \b
    Examples:
      lab init my_lab            write a starter lab
      cd my_lab && lab launch    start everything, in this terminal
      lab submit experiment.json
      lab status
    """


@main.command()
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
    _tell(as_json, {"folder": str(made)}, f"Made a lab in {made}; start it with `cd {folder} && lab launch`.")


@main.command()
@click.option("-d", "--detach", is_flag=True, help="Return once it runs.")
@in_lab
def launch(folder: Path | None, detach: bool) -> None:
    """Start database, broker, managers, drivers and workers, and keep them running.

    \b
    Examples:
      lab launch             stays in this terminal; Ctrl-C ends it
      lab launch --detach    goes on in the background; `lab stop` ends it
    """
    from lab.services import supervisor

    supervisor.launch(_config(folder), detach)


@main.command()
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
    config = _config(folder)
    from lab.client import ClientError
    from lab.services import supervisor

    supervisor.take_over(config)
    try:
        _client(config).shut_down(force=force)
        ended = _wait_for_supervisor(config)
    except ClientError as error:
        if error.status:
            raise
        ended = False
    stopped = ended or supervisor.stop(config)
    _tell(as_json, {"stopped": stopped}, "The lab has stopped." if stopped else "The lab does not run.")


@main.command()
@click.argument("file", type=click.File("rb"))
@as_json
@in_lab
def submit(folder: Path | None, file: Any, as_json: bool) -> None:
    """Submit the experiment in FILE, JSON; `-` reads standard input.

    \b
    Examples:
      lab submit experiment.json
      generate_experiment | lab submit - --json
    """
    try:
        experiment = json.load(file)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{getattr(file, 'name', 'Standard input')} is not JSON: {error}; correct it.") from error
    identifier = _client(_config(folder)).submit(experiment)
    _tell(as_json, {"id": identifier}, f"Submitted experiment {identifier}.")


@main.command()
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

    client = _client(_config(folder))
    if experiment is None:
        _show(as_json, client.status(), display.show_status)
        return
    facts = client.experiment(experiment)
    _tell(as_json, facts, f"{facts['name']}: {facts['status']}")
    if not as_json:
        display.show_tasks(_console(), facts["tasks"])


@main.command()
@click.argument("task", required=False)
@click.option("--status", "wanted", help="Only those in this status, such as RUNNING.")
@click.option("--experiment", help="Only those of this experiment.")
@as_json
@in_lab
def tasks(folder: Path | None, task: str | None, wanted: str | None, experiment: str | None, as_json: bool) -> None:
    """List tasks, the newest first, or show everything about one TASK.

    \b
    Examples:
      lab tasks --status RUNNING
      lab tasks 665f0c3b9a7e4d1f2a3b4c5d
    """
    from lab import display

    client = _client(_config(folder))
    if task is not None:
        _show(as_json, client.task(task), display.show_facts)
        return
    query = {"status": _status(wanted), "experiment": experiment}
    _show(as_json, client.get("tasks", query), display.show_tasks)


@main.command()
@as_json
@in_lab
def experiments(folder: Path | None, as_json: bool) -> None:
    """List experiments, the newest first.

    \b
    Example:
      lab experiments
    """
    from lab import display

    _show(as_json, _client(_config(folder)).get("experiments"), display.show_experiments)


@main.command()
@as_json
@in_lab
def devices(folder: Path | None, as_json: bool) -> None:
    """List devices: state, driver version, holder, how often connected.

    \b
    Example:
      lab devices --json
    """
    from lab import display

    _show(as_json, _client(_config(folder)).get("devices"), display.show_devices)


@main.command()
@as_json
@in_lab
def versions(folder: Path | None, as_json: bool) -> None:
    """List code versions: generations, their commits, and how many tasks still need each.

    \b
    Example:
      lab versions
    """
    from lab import display

    _show(as_json, _client(_config(folder)).get("versions"), display.show_versions)


@main.command()
@click.argument("rev", required=False)
@as_json
@in_lab
def plan(folder: Path | None, rev: str | None, as_json: bool) -> None:
    """Tell what a refresh to REV would change, drain and break; changes nothing.

    \b
    Examples:
      lab plan
      lab plan my-branch --json
    """
    from lab import display

    _show(as_json, _client(_config(folder)).plan(rev), display.show_plan)


@main.command()
@click.argument("rev", required=False)
@as_json
@in_lab
def refresh(folder: Path | None, rev: str | None, as_json: bool) -> None:
    """Take new code live: REV, or what the lab watches. Running tasks keep theirs.

    \b
    Examples:
      lab refresh
      lab refresh 1a2b3c4d
    """
    from lab import display

    facts = _client(_config(folder)).refresh(rev)
    _show(as_json, facts, display.show_refresh)
    if facts.get("error"):
        sys.exit(2)


@main.command()
@click.argument("generation", type=int)
@as_json
@in_lab
def rollback(folder: Path | None, generation: int, as_json: bool) -> None:
    """Make the code of an earlier GENERATION current again, as a new generation.

    \b
    Example:
      lab rollback 3
    """
    from lab import display

    _show(as_json, _client(_config(folder)).roll_back(generation), display.show_refresh)


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and why.")
@as_json
@in_lab
def collect(folder: Path | None, dry_run: bool, as_json: bool) -> None:
    """Remove code versions that nothing refers to; the lab does so by itself once a day.

    Code that tasks ran is kept, unless lab.toml has a [snapshots] keep_days.

    \b
    Example:
      lab collect --dry-run
    """
    from lab import display

    _show(as_json, _client(_config(folder)).collect(dry_run=dry_run), display.show_collection)


@main.command()
@click.argument("task_or_experiment")
@as_json
@in_lab
def cancel(folder: Path | None, task_or_experiment: str, as_json: bool) -> None:
    """Cancel a task, or all unfinished tasks of an experiment.

    \b
    Example:
      lab cancel 665f0c3b9a7e4d1f2a3b4c5d
    """
    from lab.client import ClientError

    client = _client(_config(folder))
    try:
        facts = client.cancel(task_or_experiment)
    except ClientError as error:
        if error.status != 404:
            raise
        facts = client.cancel_experiment(task_or_experiment)
    said = "is cancelled" if facts["status"] == "CANCELLED" else "was asked to stop"
    _tell(as_json, facts, f"{task_or_experiment} {said}.")


@main.command()
@click.argument("device")
@as_json
@in_lab
def pause(folder: Path | None, device: str, as_json: bool) -> None:
    """Grant DEVICE to nobody until it is released; a task that holds it keeps it.

    \b
    Example:
      lab pause furnace_1
    """
    facts = _client(_config(folder)).pause(device)
    _tell(as_json, facts, f"{device} is paused; `lab release {device}` ends that.")


@main.command()
@click.argument("device")
@as_json
@in_lab
def release(folder: Path | None, device: str, as_json: bool) -> None:
    """End the pause of DEVICE; connect it again after an emergency stop or an error.

    \b
    Example:
      lab release furnace_1
    """
    facts = _client(_config(folder)).release(device)
    _tell(as_json, facts, f"{device} is released.")


@main.command("emergency-stop")
@click.argument("device")
@as_json
@in_lab
def emergency_stop(folder: Path | None, device: str, as_json: bool) -> None:
    """Stop DEVICE at once, whatever it is doing, and pause it. Calls of the task that uses it are refused from then on.

    \b
    Example:
      lab emergency-stop furnace_1
    """
    facts = _client(_config(folder)).emergency_stop(device)
    _tell(as_json, facts, f"{device} was told to stop and is paused; `lab release {device}` connects it again.")


@main.command()
@click.argument("task")
@as_json
@in_lab
def retry(folder: Path | None, task: str, as_json: bool) -> None:
    """Run a LOST or failed TASK again from its start, with the code it is pinned to.

    \b
    Example:
      lab retry 665f0c3b9a7e4d1f2a3b4c5d
    """
    facts = _client(_config(folder)).retry(task)
    _tell(as_json, facts, f"Task {task} is {facts['status']} for attempt {facts['attempt'] + 1}.")


def _status(wanted: str | None) -> str | None:
    from lab.records import TaskStatus

    if wanted is not None and wanted.upper() not in TaskStatus.__members__:
        raise UsageError(f"There is no status {wanted!r}; use one of {', '.join(TaskStatus)}.")
    return wanted.upper() if wanted else None


def _config(folder: Path | None) -> LabConfig:
    from lab.config import load

    return load(folder)


def _client(config: LabConfig) -> LabClient:
    from lab.client import ClientError, LabClient

    path = config.general.state_dir / "run" / "managers.json"
    try:
        url = json.loads(path.read_text())["url"]
        token = (config.general.state_dir / "token").read_text().strip()
    except FileNotFoundError:
        raise ClientError(f"The lab {config.general.name!r} does not run; start it with `lab launch`.") from None
    except (ValueError, KeyError, TypeError):
        raise ClientError(f"{path} is damaged; run `lab stop`, then `lab launch`.") from None
    return LabClient(url, token, actor=_user())


def _user() -> str:
    with suppress(KeyError, OSError):  # a user id without a name
        return getpass.getuser()
    return "cli"


def _wait_for_supervisor(config: LabConfig) -> bool:
    """Whether the supervisor has ended in time."""
    from lab.services import supervisor

    identity = supervisor.running(config)
    return identity is None or identity.wait(STOP_SECONDS)


def _tell(as_json: bool, facts: Any, sentence: str) -> None:
    click.echo(json.dumps(facts, indent=2) if as_json else sentence)


def _show(as_json: bool, facts: Any, table: Callable[[Console, Any], None]) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        table(_console(), facts)


def _console() -> Console:
    from rich.console import Console

    # In a file or a pipe there is no edge to wrap lines at.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


if __name__ == "__main__":
    main()
