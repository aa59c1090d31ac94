"""All checks of a laboratory, in the order in which one makes the next one possible."""

from __future__ import annotations

from pathlib import Path

from hotswap.errors import HotswapError
from hotswap.store import Store
from lab.doctor._broker import check_broker
from lab.doctor._code import check_environment, check_hooks, check_store
from lab.doctor._database import check_clock, check_database, check_schema
from lab.doctor._host import check_disk, check_platform, check_ports
from lab.doctor._invariants import check_invariants
from lab.doctor._processes import check_managers, check_processes
from lab.doctor._report import Report
from lab.doctor._settings import check_settings
from lab.doctor._trouble import check_trouble
from lab.records import Records
from lab.services.access import database_of
from lab.services.service import adopt
from lab.services.supervisor import running
from lab.settings.config import LabConfig, load
from lab.settings.section import ConfigError


def examine(folder: Path | None) -> Report:
    """Look over the laboratory of a folder; changes nothing. Its own database is started if it does not run."""
    report = Report()
    check_platform(report)
    try:
        config = load(folder)
    except ConfigError as error:
        report.find("settings", str(error), "correct that, then ask again")
        return report
    report.tell("settings", f"{config.path} is as it should be")
    check_settings(report, config)
    _examine(report, config)
    return report


def _examine(report: Report, config: LabConfig) -> None:
    runs = running(config) is not None
    report.tell("laboratory", f"{config.general.name} {'runs' if runs else 'does not run'}")
    check_disk(report, config)
    check_ports(report, config)
    check_hooks(report, config)
    store = Store(config.general.state_dir / "store")
    check_store(report, store)
    try:
        with_secrets = config.revealed()
    except ConfigError as error:
        report.find("settings", str(error), "correct that, then ask again")
        return
    check_processes(report, config)
    check_broker(report, with_secrets, runs)
    _examine_database(report, with_secrets, store, runs)


def _examine_database(report: Report, config: LabConfig, store: Store, runs: bool) -> None:
    if config.mongodb.uri is None and not (config.general.state_dir / "db").is_dir():
        report.tell("database", "there is none yet; the first `lab launch` makes it")
        return
    if runs and config.mongodb.uri is None and adopt(config.general.state_dir, "database") is None:
        report.find("database", "the embedded database does not answer", "see logs/database.log in the state folder")
        return
    try:
        with database_of(config) as database:
            records = Records(database)
            check_database(report, database)
            check_schema(report, database)
            check_clock(report, records)
            check_environment(report, records, store)
            if runs:
                check_managers(report, config)
                check_trouble(report, records)
            check_invariants(report, records, store)
    except HotswapError as error:
        report.find("database", str(error), "then ask again")
