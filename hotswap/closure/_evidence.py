"""Everything that a verdict is a digest of, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hotswap.closure._facts import Detail
from hotswap.closure._parse import digest
from hotswap.closure._plan import Plan


@dataclass(frozen=True)
class Evidence:
    """What was found for the classes ``names``: digests of ``modules`` by name, and of ``data`` files by path."""

    names: tuple[str, ...]
    plan: Plan
    detail: Detail
    modules: Mapping[str, str]
    data: Mapping[str, str]

    def digest(self) -> str:
        """One hash of all of it."""
        parts = {
            "names": self.names,
            "scheme": self.plan.scheme,
            "modules": sorted(self.modules.items()),
            "links": sorted(self.plan.links),
            "external": sorted(self.plan.external),
            "statements": self.plan.statements,
            "order": self.plan.order,
            "data": sorted(self.data.items()),
        }
        return digest(json.dumps(parts))
