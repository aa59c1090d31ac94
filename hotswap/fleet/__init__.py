"""Which version processes this host runs: started warm, watched, restarted, adopted, ended."""

from __future__ import annotations

from hotswap.fleet._fleet import Fleet, restart_delay
from hotswap.fleet._remote import FleetClient, serve_fleet
from hotswap.fleet._runs import Run, Started
from hotswap.fleet._templates import Limits

__all__ = ["Fleet", "FleetClient", "Limits", "Run", "Started", "restart_delay", "serve_fleet"]
