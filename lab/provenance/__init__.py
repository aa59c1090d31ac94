"""Which code made which sample, told from what is recorded with every task, call and move."""

from __future__ import annotations

from lab.provenance._blame import Provenance

__all__ = ["Provenance"]
