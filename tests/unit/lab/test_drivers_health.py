"""What a driver process tells of a device that is not well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from lab import BaseDevice, SamplePosition
from lab.drivers._health import health_jobs
from lab.drivers._periodic import Job


class Pump(BaseDevice):
    """Leaks until it is mended."""

    leaks = True

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def is_running(self) -> bool:
        return False

    def check_health(self) -> None:
        if self.leaks:
            raise OSError("it leaks")


class OneDevice:
    """Stands in for its slot, which nobody else uses."""

    name = "pump"
    driver_class = Pump
    granted = False

    def __init__(self) -> None:
        self.device = Pump("pump")

    def look(self, use: Callable[[BaseDevice], None], when_free: Callable[[], None]) -> bool:
        use(self.device)
        return True


class Documents:
    """Stands in for the records and their devices; ``away`` when the server does not answer."""

    def __init__(self) -> None:
        self.away = False
        self.told: list[str | None] = []

    @property
    def devices(self) -> Documents:
        return self

    def update_one(self, query: dict[str, Any], change: dict[str, Any]) -> None:
        self.told.append(change["$set"]["ailing"])
        if self.away:
            self.away = False
            raise AutoReconnect("no server")


@pytest.fixture
def slot() -> OneDevice:
    return OneDevice()


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def job(slot: OneDevice, documents: Documents) -> Job:
    (job,) = health_jobs(slot, "driver", lambda: documents)  # type: ignore[arg-type,return-value]
    return job


def look(job: Job) -> None:
    assert job.action(lambda: None)


def test_a_database_that_is_away_is_tried_once_at_each_look(job: Job, documents: Documents) -> None:
    documents.away = True
    look(job)
    assert documents.told == ["OSError: it leaks"]
    look(job)
    assert documents.told == ["OSError: it leaks"] * 2


def test_that_it_is_well_is_told_again_when_it_could_not_be(job: Job, slot: OneDevice, documents: Documents) -> None:
    look(job)
    slot.device.leaks, documents.away = False, True
    look(job)
    look(job)
    look(job)
    assert documents.told == ["OSError: it leaks", None, None]
