"""New code for a running laboratory: frozen, described, planned, promoted; old code retired when nothing needs it."""

from __future__ import annotations

from lab.managers.refresh._manager import RefreshManager
from lab.managers.refresh._retirement import RetirementManager

__all__ = ["RefreshManager", "RetirementManager"]
