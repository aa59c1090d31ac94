"""The operations of a driver process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.definitions import Home
from lab.drivers._faults import CallFailed
from lab.drivers._journal import Journal
from lab.drivers._maintenance import Maintenance
from lab.drivers._periodic import Job, Periodic
from lab.drivers._slot import Call, Slot
from lab.errors import DeviceError
from lab.records import Document

log = logging.getLogger(__name__)


class DriverServer:
    """The devices of one share group, each with its home.

    ``facts`` tells the snapshot and driver digest that each journal entry names; ``jobs`` what is done again and again
    for a device that has just been connected.
    """

    def __init__(
        self,
        homes: Mapping[str, Home],
        tree: Path,
        journal: Journal,
        facts: Mapping[str, Document],
        maintenance: Maintenance,
        jobs: Callable[[Slot], list[Job]],
    ) -> None:
        self._journal = journal
        self._facts = facts
        self._maintenance = maintenance
        self._homes = homes
        self._jobs = jobs
        self._periodic = Periodic()
        self._slots = {
            name: Slot(name, tree, self._record, journal.message, maintenance, home) for name, home in homes.items()
        }

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """What the wire offers; see ``Slot`` for the meaning and the errors of each."""
        return {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "grant": self._grant,
            "revoke": lambda device, fence: self._slot(device).revoke(fence),
            "call": lambda device, **call: self._slot(device).call(Call(**call)),
            "export_state": lambda device: self._slot(device).export_state(),
            "import_state": lambda device, state: self._slot(device).import_state(state),
            "verify_state": lambda device, state: self._slot(device).verify_state(state),
            "emergency_stop": lambda device, stops=0: self._slot(device).emergency_stop(stops),
            "status": lambda device: self._slot(device).status(),
        }

    def idle(self) -> bool:
        """Whether no device is connected."""
        return not any(slot.connected for slot in self._slots.values())

    def close(self) -> None:
        """Disconnect everything and write the rest of the journal."""
        self._periodic.close()
        for slot in self._slots.values():
            try:
                slot.disconnect()
            except CallFailed as error:
                log.warning("Device %s did not disconnect: %s", slot.name, error)
        self._maintenance.close()
        self._journal.close()

    def _connect(self, device: str, stops: int | None = None) -> Document:
        slot = self._slot(device)
        if not slot.connected:
            slot.connect(stops)
            self._periodic.begin(device, self._jobs(slot))
        return {"simulated": self._homes[device].simulated}

    def _disconnect(self, device: str) -> None:
        self._periodic.end(device)
        self._slot(device).disconnect()

    def _grant(self, device: str, fence: int, task: str) -> None:
        self._slot(device).grant(fence)
        log.info("Device %s is granted to task %s.", device, task)

    def _slot(self, device: str) -> Slot:
        if device not in self._slots:
            raise DeviceError(f"This driver process has no device {device!r}; it has {', '.join(self._slots)}.")
        return self._slots[device]

    def _record(self, entry: Document) -> None:
        self._journal.call({**entry, **self._facts.get(entry["device"], {})})
