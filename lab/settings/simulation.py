"""Which devices pretend: all of them, until ``lab.toml`` says otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Simulation:
    """``everything``: all devices pretend; else those whose name one of the ``patterns`` matches."""

    everything: bool = True
    patterns: tuple[str, ...] = ()

    def covers(self, device: str) -> bool:
        """Whether the device pretends."""
        return self.everything or any(fnmatchcase(device, pattern) for pattern in self.patterns)

    def unmatched(self, devices: Collection[str]) -> list[str]:
        """The patterns that match none of the devices."""
        return [each for each in self.patterns if not any(fnmatchcase(device, each) for device in devices)]

    def divided(self, groups: Mapping[str, Collection[str]]) -> list[str]:
        """The share groups of which only some devices pretend."""
        return [name for name, devices in groups.items() if len({self.covers(device) for device in devices}) > 1]

    def told(self, database: str) -> str:
        """One sentence for who launches the laboratory."""
        if self.everything:
            return f"Everything is simulated (simulation = true in lab.toml); database {database}."
        spared = f", all but {', '.join(self.patterns)}" if self.patterns else ""
        return f"DEVICES ARE REAL{spared} (simulation = false in lab.toml); database {database}."
