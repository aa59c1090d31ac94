"""Dosing powders."""

from typing import Any

from ..devices import Balance, PowderDoser
from ..transfers import transfer
from .sample_task import SampleTask


class Dosing(SampleTask):
    """Fill each sample with a powder, weigh it, and put it on the table. Masses are in mg."""

    def __init__(self, powder: str, mass_mg: float) -> None:
        self.powder = powder
        self.mass_mg = mass_mg

    def validate(self) -> bool:
        """Refuse a mass that is not positive."""
        if self.mass_mg <= 0:
            raise ValueError(f"mass_mg must be positive, it is {self.mass_mg:g}")
        return super().validate()

    def run(self) -> dict[str, Any]:
        """Return what was dispensed and weighed, by sample."""
        # All at once, so that two tasks never hold what the other waits for.
        with self.lab_view.request_resources(
            {PowderDoser: {"tray": 1}, Balance: {"pan": 1}, None: {"table": len(self.samples)}}
        ) as (devices, places):
            (tray,), (pan,) = places[PowderDoser]["tray"], places[Balance]["pan"]
            masses = {}
            for sample, place in zip(self.samples, places[None]["table"], strict=True):
                self.set_message(f"dosing {sample}")
                transfer(self.lab_view, sample, tray)
                dispensed_mg = devices[PowderDoser].dose(self.powder, self.mass_mg)
                transfer(self.lab_view, sample, pan)
                weighed_mg = devices[Balance].weigh(dispensed_mg)
                transfer(self.lab_view, sample, place)
                masses[sample] = {"dispensed_mg": dispensed_mg, "weighed_mg": weighed_mg}
        return {"powder": self.powder, "target_mg": self.mass_mg, "masses": masses}
