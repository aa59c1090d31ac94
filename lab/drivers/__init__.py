"""Driver processes: each holds the connected devices of one share group, in the version of one snapshot."""

from __future__ import annotations

from typing import Final

from hotswap.generations import Generations, UnknownGenerationError
from hotswap.process import Context, serve
from lab.definitions import set_simulation
from lab.drivers._database import Database
from lab.drivers._health import health_jobs
from lab.drivers._home import DeviceHome
from lab.drivers._journal import Journal
from lab.drivers._maintenance import Maintenance
from lab.drivers._periodic import Job
from lab.drivers._server import DriverServer
from lab.drivers._signals import signal_jobs
from lab.drivers._slot import Slot
from lab.records import Document, Records
from lab.settings.simulation import Simulation

__all__ = ["main"]

_ORIGIN: Final = ("commit", "dirty", "environment")


def main(context: Context) -> None:
    """Serve devices until told to stop, then disconnect them.

    ``context.arguments``: ``devices`` (names), ``drivers`` (name -> driver digest), ``mongo_uri``, ``database``,
    ``simulation`` (default True), ``simulate`` (patterns of devices that pretend all the same) and ``generation``.
    """
    arguments = context.arguments
    simulation = Simulation(arguments.get("simulation", True), tuple(arguments.get("simulate", ())))
    simulated = {device: simulation.covers(device) for device in arguments["devices"]}
    set_simulation(all(simulated.values()))
    database = Database(context)
    homes = {device: DeviceHome(device, simulated[device], database.records) for device in arguments["devices"]}
    journal = Journal(database.records, lambda records: _origin(context, records))
    maintenance = Maintenance(database.records)

    def jobs(slot: Slot) -> list[Job]:
        return signal_jobs(slot, journal.signal) + health_jobs(slot, context.name, database.records)

    server = DriverServer(homes, context.tree, journal, _facts(context), maintenance, jobs)
    try:
        serve(context, server.handlers(), server.idle)
    finally:
        server.close()
        database.close()


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
