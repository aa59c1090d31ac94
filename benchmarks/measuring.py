"""Memory and processor time of a laboratory's processes, by what they are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import psutil
from rich.table import Table

from benchmarks.laboratory import Laboratory

SERVICES: Final = frozenset({"database", "broker"})
_MB: Final = 1e6


@dataclass(frozen=True)
class Sample:
    """One process: ``kind`` is its name without the code version and the device."""

    name: str
    pid: int
    value: float

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]


def memory(lab: Laboratory) -> list[Sample]:
    """Proportional set size of each process in MB (10^6 bytes): pages that several share count for each in part."""
    names = lab.names()
    return [
        Sample(names.get(process.pid, process.name()), process.pid, process.memory_full_info().pss / _MB)
        for process in lab.processes()
    ]


def processor(lab: Laboratory, seconds: float) -> list[Sample]:
    """Percent of one core that each process uses during the next ``seconds``."""
    names, processes = lab.names(), lab.processes()
    before = [_busy(process) for process in processes]
    began = time.monotonic()
    time.sleep(seconds)
    spent = [_busy(process) - busy for process, busy in zip(processes, before, strict=True)]
    elapsed = time.monotonic() - began
    return [
        Sample(names.get(process.pid, process.name()), process.pid, 100 * busy / elapsed)
        for process, busy in zip(processes, spent, strict=True)
    ]


def total(samples: list[Sample]) -> float:
    return sum(sample.value for sample in samples)


def table(title: str, unit: str, samples: list[Sample]) -> Table:
    """All processes, the largest first."""
    made = Table(title=title)
    made.add_column("process")
    made.add_column("pid", justify="right")
    made.add_column(unit, justify="right")
    for sample in sorted(samples, key=lambda each: -each.value):
        made.add_row(sample.name, str(sample.pid), f"{sample.value:.2f}")
    made.add_section()
    made.add_row(f"all {len(samples)}", "", f"{total(samples):.2f}")
    return made


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
