"""New code for a running laboratory: frozen, described, planned, promoted; old code retired when nothing needs it."""

from __future__ import annotations

from lab.managers.refresh._code import LabCode
from lab.managers.refresh._environment import EnvironmentPolicy
from lab.managers.refresh._gate import QueueGate
from lab.managers.refresh._manager import RefreshManager
from lab.managers.refresh._participant import LabParticipant
from lab.managers.refresh._policy import CodePolicy, PolicyError
from lab.managers.refresh._retirement import RetirementManager

__all__ = [
    "CodePolicy",
    "EnvironmentPolicy",
    "LabCode",
    "LabParticipant",
    "PolicyError",
    "QueueGate",
    "RefreshManager",
    "RetirementManager",
]
