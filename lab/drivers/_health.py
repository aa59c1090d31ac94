"""Whether a device that nobody uses is well, asked again and again while it is connected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from lab.definitions import BaseDevice
from lab.drivers._periodic import Job
from lab.drivers._slot import Slot
from lab.patience import patiently
from lab.records import DeviceState, Records

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
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if not self._ailing:
                log.warning("Device %s is not well: %s", device.name, reason, exc_info=True)
            self._tell({"state": DeviceState.FREE}, reason)
            self._ailing = True
            return
        if self._ailing:
            self._tell({"ailing": {"$ne": None}}, None)
        self._ailing = False

    def _tell(self, before: dict[str, Any], reason: str | None) -> None:
        mine = {"_id": self._slot.name, "binding.process": self._process, **before}
        patiently(lambda: self._open().devices.update_one(mine, {"$set": {"ailing": reason}}))
