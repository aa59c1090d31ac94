"""``lab backup | restore | clean``: the data of a laboratory as a whole."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, config_of, in_lab, tell


@click.command()
@click.argument("target", metavar="FOLDER", type=click.Path(path_type=Path))
@as_json
@in_lab
def backup(folder: Path | None, target: Path, as_json: bool) -> None:
    """Copy the database and the code it refers to into FOLDER.

    New or empty. The lab may run or not.

    \b
    Example:
      lab backup /backups/monday
    """
    from lab.backup.taking import take

    manifest = take(config_of(folder).revealed(), target)
    size = sum(facts["size"] for facts in manifest.files.values())
    facts = {"folder": str(target), "settled": manifest.settled, "missing": manifest.missing, "size": size}
    settled = "" if manifest.settled else " It was at work until the end: see the reference of `lab backup`."
    tell(as_json, facts, f"Wrote {len(manifest.files)} files, {size / 1e6:.1f} MB, into {target}.{settled}")


@click.command()
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Delete what the database holds now.")
@as_json
@in_lab
def restore(folder: Path | None, source: Path, replace: bool, as_json: bool) -> None:
    """Have the lab hold what the backup in FOLDER holds.

    The backup is checked first. The lab must not run.

    \b
    Example:
      lab restore /backups/monday
    """
    from lab.backup.restoring import restore as restored

    manifest = restored(config_of(folder).revealed(), source, replace=replace)
    facts = {"taken_at": manifest.taken_at, "lab": manifest.lab}
    tell(as_json, facts, f"Restored {manifest.lab} as of {manifest.taken_at}; start it with `lab launch`.")


@click.command()
@click.argument("database", required=False)
@click.option("--backup", "target", type=click.Path(path_type=Path), help="Take a backup into this folder before.")
@as_json
@in_lab
def clean(folder: Path | None, database: str | None, target: Path | None, as_json: bool) -> None:
    """Delete the lab's DATABASE, which has to be named.

    The lab must not run. Data of real work are deleted after a backup only.

    \b
    Examples:
      lab clean                  says what would be deleted
      lab clean my_lab_sim
    """
    from lab.backup.cleaning import clean as cleaned

    cleaned(config_of(folder).revealed(), database, target)
    tell(as_json, {"deleted": database}, f"Deleted the database {database}; `lab launch` begins anew.")
