"""The powder doser."""

from random import Random

from lab import SamplePosition

from .simulated import SimulatedDevice

SECONDS_PER_DOSE = 90.0
SMALLEST_MG, LARGEST_MG = 1.0, 10_000.0
RELATIVE_ERROR = 0.005


class PowderDoser(SimulatedDevice):
    """Dispenses powders into the crucible on its tray."""

    def __init__(self, name: str, speed_up: float = 1.0) -> None:
        super().__init__(name, "gravimetric doser", speed_up)
        self._errors = Random()  # noqa: S311 - simulates scatter, keeps no secret

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """One crucible."""
        return [SamplePosition("tray", description="below the dosing head")]

    def dose(self, powder: str, mass_mg: float) -> float:
        """Dispense a powder and return how much came out, in mg."""
        if not SMALLEST_MG <= mass_mg <= LARGEST_MG:
            raise ValueError(f"{self.name} doses {SMALLEST_MG:g} to {LARGEST_MG:g} mg, not {mass_mg:g}")
        self.set_message(f"{mass_mg:g} mg of {powder}")
        self.work(SECONDS_PER_DOSE)
        self.set_message("")
        return round(self._errors.gauss(mass_mg, RELATIVE_ERROR * mass_mg), 2)
