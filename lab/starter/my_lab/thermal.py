"""The physics of a heated chamber."""

from dataclasses import dataclass

AMBIENT_C = 25.0
TICK_SECONDS = 1.0


@dataclass
class Chamber:
    """One heat capacity, one heater, and a heat loss proportional to the difference from ambient.

    ``C dT/dt = P - k (T - ambient)``, in steps of one second. The controller knows the chamber, so it needs no
    feedback terms: it gives the power that reaches the setpoint at the next step, as far as the heater can.
    """

    heat_capacity_j_per_k: float = 1200.0
    loss_w_per_k: float = 1.0
    heater_w: float = 2000.0
    temperature_c: float = AMBIENT_C
    energy_j: float = 0.0

    def tick(self, setpoint_c: float) -> None:
        """Let one second pass while the controller heads for a setpoint."""
        missing_w = (setpoint_c - self.temperature_c) * self.heat_capacity_j_per_k / TICK_SECONDS
        power_w = min(self.heater_w, max(0.0, missing_w + self.loss_w))
        self.temperature_c += (power_w - self.loss_w) * TICK_SECONDS / self.heat_capacity_j_per_k
        self.energy_j += power_w * TICK_SECONDS

    def coast(self, ticks: int) -> None:
        """Let seconds pass with the heater off."""
        kept_per_tick = 1.0 - self.loss_w_per_k * TICK_SECONDS / self.heat_capacity_j_per_k
        self.temperature_c = AMBIENT_C + (self.temperature_c - AMBIENT_C) * kept_per_tick**ticks

    @property
    def loss_w(self) -> float:
        """The heat that leaves through the walls now, in watts."""
        return self.loss_w_per_k * (self.temperature_c - AMBIENT_C)
