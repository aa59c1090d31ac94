"""What was looked at, and what was found wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something wrong: ``what`` it is and how to ``mend`` it; ``repair``, where there is one, can do no harm."""

    check: str
    what: str
    mend: str
    repair: Callable[[], None] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"check": self.check, "what": self.what, "mend": self.mend, "repairable": self.repair is not None}


@dataclass
class Report:
    """``facts`` are what was looked at and is as it should be, or is good to know: (check, sentence)."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def tell(self, check: str, fact: str) -> None:
        self.facts.append((check, fact))

    def find(self, check: str, what: str, mend: str, repair: Callable[[], None] | None = None) -> None:
        self.findings.append(Finding(check, what, mend, repair))

    def to_dict(self) -> dict[str, Any]:
        return {
            "facts": [{"check": check, "what": what} for check, what in self.facts],
            "findings": [finding.to_dict() for finding in self.findings],
        }
