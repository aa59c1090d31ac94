"""Which version processes this host runs: started warm, watched, restarted, adopted, ended."""

from __future__ import annotations

from hotswap.fleet._endings import restart_delay
from hotswap.fleet._fleet import Fleet
from hotswap.fleet._remote import FleetClient, serve_fleet
from hotswap.fleet._started import Started, Wanted
from hotswap.process.rlimits import Limits
from hotswap.process.runs import Run

__all__ = ["Fleet", "FleetClient", "Limits", "Run", "Started", "Wanted", "restart_delay", "serve_fleet"]
