"""Whether a device that nobody uses is well, asked again and again while it is connected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from pymongo import timeout
from pymongo.errors import PyMongoError

from lab.definitions import BaseDevice
from lab.drivers._periodic import Job
from lab.drivers._slot import Slot
from lab.records import DeviceState, Records

_TELL_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


def health_jobs(slot: Slot, process: str, open_records: Callable[[], Records]) -> list[Job]:
    """What there is to be asked of a device whose class defines ``check_health``; ``process`` is its own name."""
    cls = slot.driver_class
    if cls is None or cls.check_health is BaseDevice.check_health:
        return []
    check = _Check(slot, process, open_records)
    return [Job(cls.check_health_seconds, check.look, delay=cls.check_health_seconds)]


class _Check:
    """Tells the device manager, by way of the device's document, what it has to do something about."""

    def __init__(self, slot: Slot, process: str, open_records: Callable[[], Records]) -> None:
        self._slot = slot
        self._process = process
        self._open = open_records
        self._ailing = False

    def look(self, when_free: Callable[[], None]) -> bool:
        """A device that a task holds is the task's to look after: it is left alone until the next time."""
        return self._slot.granted or self._slot.look(self._check, when_free)

    def _check(self, device: BaseDevice) -> None:
        try:
            device.check_health()
        except Exception as error:  # a driver may raise anything at all; whatever it is, the device is not well
            reason = f"{type(error).__name__}: {error}"
            if not self._ailing:
                log.warning("Device %s is not well: %s", device.name, reason, exc_info=True)
            self._tell({"state": DeviceState.FREE}, reason)
            return
        if self._ailing:
            self._tell({"ailing": {"$ne": None}}, None)

    def _tell(self, before: dict[str, Any], reason: str | None) -> None:
        """Once and for a moment only: meanwhile nobody can call the device, and no other one is asked."""
        mine = {"_id": self._slot.name, "binding.process": self._process, **before}
        try:
            with timeout(_TELL_SECONDS):
                self._open().devices.update_one(mine, {"$set": {"ailing": reason}})
        except PyMongoError as error:
            log.warning("How device %s is cannot be told; it is asked again: %s", self._slot.name, error)
        else:
            self._ailing = reason is not None
