"""``lab doctor | alarms | archive | export``: looking after a laboratory."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts, tell


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended without any risk.")
@as_json
@in_lab
def doctor(folder: Path | None, repair: bool, as_json: bool) -> None:
    """Look the lab over, and say how to mend what is wrong.

    Services, versions, stored code, documents, clock, disk, port, hooks and settings; whether the lab runs or not. The
    exit code is 1 when anything is found.

    \b
    Examples:
      lab doctor
      lab doctor --repair --json
    """
    from lab import display
    from lab.doctor import examine

    report = examine(folder)
    mendable = [finding for finding in report.findings if finding.repair is not None]
    if repair and mendable:
        for finding in mendable:
            assert finding.repair is not None
            finding.repair()
            click.echo(f"mended: {finding.what}", err=True)
        report = examine(folder)
    print_facts(as_json, report.to_dict(), display.show_report)
    if report.findings:
        sys.exit(1)


@click.group()
def alarms() -> None:
    """Who is told when the lab needs people.

    \b
    Examples:
      lab alarms list
      lab alarms test email
    """


@alarms.command("list")
@as_json
@in_lab
def list_alarms(folder: Path | None, as_json: bool) -> None:
    """List the newest alarms.

    \b
    Example:
      lab alarms list
    """
    from lab import display

    print_facts(as_json, client_of(config_of(folder)).get("alarms"), display.show_alarms)


@alarms.command("test")
@click.argument("channel", required=False)
@as_json
@in_lab
def test_alarms(folder: Path | None, channel: str | None, as_json: bool) -> None:
    """Send a test by CHANNEL, or by all: `email`, `webhook`, `command`.

    The exit code is 1 when one was not sent.

    \b
    Example:
      lab alarms test webhook
    """
    from lab import display

    facts = client_of(config_of(folder)).test_alarms(channel)
    print_facts(as_json, facts, display.show_sent)
    if any(facts["channels"].values()):
        sys.exit(1)


@click.command()
@click.argument("experiment", required=False)
@click.option("--dry-run", is_flag=True, help="Only say which would be archived.")
@as_json
@in_lab
def archive(folder: Path | None, experiment: str | None, dry_run: bool, as_json: bool) -> None:
    """Copy EXPERIMENT, or all that have ended, to the archive.

    With its tasks, samples, calls, signals, results and code. It stays in the lab, too.

    \b
    Examples:
      lab archive --dry-run
      lab archive 665f0c3b9a7e4d1f2a3b4c5d
    """
    facts = client_of(config_of(folder)).archive(experiment, dry_run=dry_run)
    count = len(facts["experiments"])
    what = f"{count} experiment{'' if count == 1 else 's'}"
    tell(as_json, facts, f"{what} would be archived." if dry_run else f"Archived {what}.")


@click.command()
@click.argument("code")
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@in_lab
def export(folder: Path | None, code: str, file: Path, as_json: bool) -> None:
    """Write a code version into FILE, for `hotswap import`.

    CODE is an id, which may be shortened; from the lab's store, or else from its archive.

    \b
    Example:
      lab export 3f9a81cc code.tar
    """
    from lab.archiving.code import export_code

    where = export_code(config_of(folder).revealed(), code, file)
    tell(as_json, {"file": str(file), "from": where}, f"Wrote {file}, from the {where}.")
