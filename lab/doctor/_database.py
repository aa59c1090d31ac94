"""The database server: which it is, what it can do, and what time it has."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Final

from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from lab import migrations
from lab.doctor._report import Report
from lab.records import Document, Records

_APART: Final = timedelta(seconds=2)


def check_database(report: Report, database: Database[Document]) -> None:
    build = database.client.admin.command("buildInfo")
    hello = database.client.admin.command("hello")
    name = "replica set" if hello.get("setName") else "standalone"
    report.tell("database", f"{_server(build)}, {name}, database {database.name}")
    try:
        database.watch(max_await_time_ms=1).close()
        report.tell("database", "it has change streams")
    except OperationFailure:
        report.tell(
            "database",
            "it has no change streams, as a standalone mongod: managers and workers look once a second; "
            "a replica set of one member has them",
        )


def check_schema(report: Report, database: Database[Document]) -> None:
    try:
        version = migrations.check(database)
    except migrations.SchemaError as error:
        report.find("database", str(error), "do that before the next launch")
        return
    later = "" if version == migrations.CURRENT else f", and become version {migrations.CURRENT} at the next launch"
    report.tell("database", f"the documents are of version {version}{later}")


def _server(build: Document) -> str:
    """Its name and version; the embedded one answers with the version of MongoDB that it stands for."""
    if "secantus" not in str(build).lower():
        return f"MongoDB {build.get('version', 'of an unknown version')}"
    with suppress(metadata.PackageNotFoundError):  # it may run elsewhere
        return f"secantusdb {metadata.version('secantusdb')}"
    return "secantusdb"


def check_clock(report: Report, records: Records) -> None:
    """The host's clock against the database's, and against what is written there already."""
    if not time.get_clock_info("monotonic").monotonic:
        report.find("clock", "the monotonic clock of this machine is not monotonic", "run the lab on another kernel")
    before = datetime.now(UTC)
    told = _time_of(records.database)
    if told is not None:
        middle = before + (datetime.now(UTC) - before) / 2
        apart = abs(told - middle)
        if apart > _APART:
            what = f"the clocks of this machine and of the database are {apart.total_seconds():.0f} s apart"
            report.find("clock", what, "run a time service such as chrony on both")
        else:
            report.tell("clock", "this machine and the database agree")
    _check_past(report, records)


def _time_of(database: Database[Document]) -> datetime | None:
    try:
        told = database.client.admin.command("hello").get("localTime")
    except PyMongoError:
        return None
    if not isinstance(told, datetime):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _check_past(report: Report, records: Records) -> None:
    newest = records.database["events"].find_one(sort=[("_id", DESCENDING)])
    ahead = newest["at"] - datetime.now(UTC) if newest is not None else timedelta()
    if ahead > _APART:
        what = f"the newest event was written {ahead.total_seconds():.0f} s in the future: the clock has gone back"
        report.find("clock", what, "set the clock; times of records in between are wrong")
