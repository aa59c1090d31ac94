"""What the managers process is told when it is started."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from lab.managers.leases import BEATS
from lab.records import Document
from lab.settings.config import LabConfig


class Settings(BaseModel):
    """The laboratory's own settings, and where the services are that its supervisor started.

    Passed on standard input as JSON, because URIs may hold passwords.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: LabConfig
    mongo_uri: str = Field(repr=False)
    database: str
    broker_url: str = Field(repr=False)
    fleet_address: tuple[str, int]

    @property
    def token(self) -> str:
        """The secret shared by the processes and the users of this laboratory."""
        return (self.config.general.state_dir / "token").read_text().strip()

    @property
    def queue_prefix(self) -> str:
        """What tells this laboratory's queues from those of others on the same broker."""
        return re.sub(r"[^A-Za-z0-9_-]", "-", self.database)

    def process_arguments(self) -> Document:
        """What worker and driver processes are started with."""
        return {
            "mongo_uri": self.mongo_uri,
            "database": self.database,
            "broker_url": self.broker_url,
            "lab": self.queue_prefix,
            "simulation": self.config.general.simulation,
            "simulate": list(self.config.general.simulate),
            "capacity": self.config.worker.capacity,
            "beat_seconds": self.config.worker.unreachable_after / BEATS,
            "results": self.config.policy.results,
        }
