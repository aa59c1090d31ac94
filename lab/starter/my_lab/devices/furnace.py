"""The box furnaces."""

from threading import Lock
from time import monotonic

from lab import SamplePosition, log_signal

from ..ramps import Ramp, Segment
from ..thermal import AMBIENT_C, TICK_SECONDS, Chamber
from .simulated import SimulatedDevice

COOLEST_TARGET_C = AMBIENT_C + 15.0
FASTEST_RAMP_C_PER_MINUTE = 50.0
JOULES_PER_KWH = 3.6e6


class Furnace(SimulatedDevice):
    """A box furnace with four slots that follows a temperature program.

    Its state is computed from the clock whenever somebody asks, so that an idle furnace costs nothing.
    """

    def __init__(self, name: str, max_temperature_c: float = 1200.0, speed_up: float = 1.0) -> None:
        super().__init__(name, "box furnace", speed_up)
        self.max_temperature_c = max_temperature_c
        self._chamber = Chamber()
        self._ramp: Ramp | None = None
        self._peak_c = self._chamber.temperature_c
        self._computed_until = monotonic()
        self._state = Lock()

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """Four crucibles."""
        return [SamplePosition("slot", number=4)]

    def run_program(self, segments: list[dict[str, float]]) -> None:
        """Start a program: ramps and holds as described by `my_lab.ramps.Segment`."""
        self.require_connection()
        program = [Segment(**segment) for segment in segments]
        for segment in program:
            self._check(segment)
        with self._state:
            self._catch_up()
            self._ramp = Ramp(program, self._chamber.temperature_c)
            self._peak_c = self._chamber.temperature_c
            self._chamber.energy_j = 0.0
        self.set_message(f"program of {len(program)} segments")

    def stop(self) -> None:
        """Switch the heater off and forget the program."""
        with self._state:
            self._catch_up()
            self._ramp = None
        self.set_message("heater off")

    def emergency_stop(self) -> None:
        """Switch the heater off; the chamber cools by itself."""
        self.stop()
        super().emergency_stop()

    def is_running(self) -> bool:
        """Tell whether a program is being followed."""
        with self._state:
            self._catch_up()
            return self._ramp is not None

    @log_signal("temperature_c", interval_seconds=10.0)
    def temperature(self) -> float:
        """Return the temperature of the chamber in degrees Celsius."""
        with self._state:
            self._catch_up()
            return round(self._chamber.temperature_c, 2)

    def peak_temperature(self) -> float:
        """Return the highest temperature since the program began, in degrees Celsius."""
        with self._state:
            self._catch_up()
            return round(self._peak_c, 2)

    def energy(self) -> float:
        """Return the electrical energy used since the program began, in kWh."""
        with self._state:
            self._catch_up()
            return round(self._chamber.energy_j / JOULES_PER_KWH, 4)

    def _check(self, segment: Segment) -> None:
        if not COOLEST_TARGET_C <= segment.temperature_c <= self.max_temperature_c:
            limits = f"{COOLEST_TARGET_C:g} to {self.max_temperature_c:g} °C"
            raise ValueError(f"{self.name} reaches {limits}, not {segment.temperature_c:g} °C")
        if not 0.0 < segment.ramp_c_per_minute <= FASTEST_RAMP_C_PER_MINUTE:
            limits = f"up to {FASTEST_RAMP_C_PER_MINUTE:g} °C per minute"
            raise ValueError(f"{self.name} ramps at {limits}, not {segment.ramp_c_per_minute:g}")

    def _catch_up(self) -> None:
        """Compute what happened since somebody last asked."""
        ticks = int((monotonic() - self._computed_until) * self.speed_up / TICK_SECONDS)
        self._computed_until += ticks * TICK_SECONDS / self.speed_up
        while ticks and self._ramp is not None:
            self._tick(self._ramp)
            ticks -= 1
        self._chamber.coast(ticks)

    def _tick(self, ramp: Ramp) -> None:
        self._chamber.tick(ramp.advance(self._chamber.temperature_c, TICK_SECONDS))
        self._peak_c = max(self._peak_c, self._chamber.temperature_c)
        if ramp.finished:
            self._ramp = None
