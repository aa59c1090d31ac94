"""The managers: threads of one process that make the laboratory's documents agree."""

from __future__ import annotations

from lab.managers.bus import Bus, Manager

__all__ = ["Bus", "Manager"]
