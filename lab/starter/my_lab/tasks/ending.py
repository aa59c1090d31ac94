"""The end of an experiment."""

from typing import Any

from ..transfers import transfer, transfer_all
from .sample_task import SampleTask


class Ending(SampleTask):
    """Put the samples into storage, or hand them out through the hatch."""

    def __init__(self, hand_out: bool = False) -> None:
        self.hand_out = hand_out

    def run(self) -> dict[str, Any]:
        """Return the place each sample now stands in, None for outside."""
        if self.hand_out:
            for sample in self.samples:
                transfer(self.lab_view, sample, None)
            return {"places": dict.fromkeys(self.samples)}
        with self.lab_view.request_resources({None: {"storage": len(self.samples)}}) as (_, places):
            transfer_all(self.lab_view, self.samples, places[None]["storage"])
        return {"places": dict(zip(self.samples, places[None]["storage"], strict=True))}
