"""The balance."""

from random import Random

from lab import SamplePosition

from .simulated import SimulatedDevice

SETTLING_SECONDS = 10.0
DEVIATION_MG = 0.05
RESOLUTION_DIGITS = 1


class Balance(SimulatedDevice):
    """An analytical balance with a resolution of 0.1 mg."""

    def __init__(self, name: str, speed_up: float = 1.0) -> None:
        super().__init__(name, "analytical balance", speed_up)
        self._errors = Random()  # noqa: S311 - simulates scatter, keeps no secret

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """One crucible."""
        return [SamplePosition("pan")]

    def weigh(self, load_mg: float) -> float:
        """Return the reading in mg. A simulated pan feels nothing, so it is told what lies on it."""
        self.work(SETTLING_SECONDS)
        return round(self._errors.gauss(load_mg, DEVIATION_MG), RESOLUTION_DIGITS)
