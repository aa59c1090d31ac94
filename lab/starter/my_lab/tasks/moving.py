"""Moving samples."""

from typing import Any

from ..transfers import transfer_all
from .sample_task import SampleTask


class Moving(SampleTask):
    """Move the samples to standalone places, for example ``table``."""

    def __init__(self, destination: str = "table") -> None:
        self.destination = destination

    def run(self) -> dict[str, Any]:
        """Return the place each sample now stands in."""
        with self.lab_view.request_resources({None: {self.destination: len(self.samples)}}) as (_, places):
            chosen = places[None][self.destination]
            transfer_all(self.lab_view, self.samples, chosen)
        return {"places": dict(zip(self.samples, chosen, strict=True))}
