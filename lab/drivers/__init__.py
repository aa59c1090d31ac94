"""Driver processes: each holds the connected devices of one share group, in the version of one snapshot."""

from __future__ import annotations

from functools import cache
from typing import Final

from pymongo import MongoClient

from hotswap.generations import Generations, UnknownGenerationError
from hotswap.process import Context, serve
from lab.definitions import set_simulation
from lab.drivers._journal import Journal
from lab.drivers._maintenance import Maintenance
from lab.drivers._server import DriverServer
from lab.records import Document, Records

__all__ = ["main"]

_ORIGIN: Final = ("commit", "dirty", "environment")


def main(context: Context) -> None:
    """Serve devices until told to stop, then disconnect them.

    ``context.arguments``: ``devices`` (names), ``drivers`` (name -> driver digest), ``mongo_uri``, ``database``,
    ``simulation`` (default True) and ``generation``.
    """
    arguments = context.arguments
    set_simulation(arguments.get("simulation", True))
    records = cache(lambda: _records(context))
    journal = Journal(records, lambda records: _origin(context, records))
    server = DriverServer(arguments["devices"], context.tree, journal, _facts(context), Maintenance(records))
    try:
        serve(context, server.handlers(), server.idle)
    finally:
        server.close()


def _records(context: Context) -> Records:
    client: MongoClient[Document] = MongoClient(
        context.arguments["mongo_uri"],
        tz_aware=True,
        heartbeatFrequencyMS=60_000,
        serverMonitoringMode="poll",
        appname=context.name,
    )
    return Records(client[context.arguments["database"]])


def _origin(context: Context, records: Records) -> Document:
    """What the generation that this process was started for tells of its code."""
    try:
        generation = Generations(records.database).get(context.arguments.get("generation") or 0)
    except UnknownGenerationError:
        return dict.fromkeys(_ORIGIN)
    return {name: getattr(generation, name) for name in _ORIGIN}


def _facts(context: Context) -> dict[str, Document]:
    drivers: dict[str, str] = context.arguments.get("drivers", {})
    shared = {"snapshot": context.snapshot, "generation": context.arguments.get("generation")}
    return {device: {**shared, "digest": drivers.get(device)} for device in context.arguments["devices"]}
