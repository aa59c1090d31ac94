"""The signals of a device, read again and again while it is connected."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lab.definitions import BaseDevice, LoggedSignal, logged_signals
from lab.drivers._periodic import Job
from lab.drivers._slot import Slot
from lab.plain import to_plain
from lab.signals import Signal, new_signal

log = logging.getLogger(__name__)

Record = Callable[[Signal], None]


def signal_jobs(slot: Slot, record: Record) -> list[Job]:
    """What there is to be read of a device that is connected."""
    cls = slot.driver_class
    return [] if cls is None else [_job(slot, signal, record) for signal in logged_signals(cls)]


def _job(slot: Slot, signal: LoggedSignal, record: Record) -> Job:
    return Job(signal.interval_seconds, _Reader(slot, signal, record).read)


class _Reader:
    """Reads one signal; says once that it cannot be read, and once that it can again."""

    def __init__(self, slot: Slot, signal: LoggedSignal, record: Record) -> None:
        self._slot = slot
        self._signal = signal
        self._record = record
        self._fails = False

    def read(self, when_free: Callable[[], None]) -> bool:
        return self._slot.look(self._take, when_free, during_calls=self._signal.during_calls)

    def _take(self, device: BaseDevice) -> None:
        name = f"Signal {self._signal.name!r} of {device.name}"
        try:
            value = to_plain(self._signal.read(device), name)
        except Exception as error:  # a driver may raise anything at all; its other signals are read all the same
            if not self._fails:
                log.warning("%s cannot be read; it is tried again: %s", name, error, exc_info=True)
            self._fails = True
            return
        if self._fails:
            log.info("%s can be read again.", name)
        self._fails = False
        self._record(new_signal(device.name, self._signal.name, value))
