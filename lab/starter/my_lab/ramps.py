"""Temperature programs: ramps and holds, in degrees Celsius and minutes."""

from dataclasses import dataclass, field

SECONDS_PER_MINUTE = 60.0
REACHED_WITHIN_C = 1.0


@dataclass(frozen=True)
class Segment:
    """Ramp to a temperature, then hold it."""

    temperature_c: float
    ramp_c_per_minute: float
    hold_minutes: float = 0.0


def heat_and_cool(
    temperature_c: float, hold_minutes: float, ramp_c_per_minute: float, unload_c: float = 80.0
) -> list[Segment]:
    """Return a program that heats, holds, and cools until samples can be taken out."""
    return [
        Segment(temperature_c, ramp_c_per_minute, hold_minutes),
        Segment(min(unload_c, temperature_c), ramp_c_per_minute),
    ]


@dataclass
class Ramp:
    """Follows a program: gives the setpoint second by second, waiting where the chamber lags behind."""

    segments: list[Segment]
    setpoint_c: float
    _held_seconds: float = field(default=0.0, init=False)

    @property
    def finished(self) -> bool:
        """Tell whether every segment is over."""
        return not self.segments

    def advance(self, temperature_c: float, seconds: float) -> float:
        """Return the setpoint ``seconds`` later, given the temperature of the chamber now."""
        segment = self.segments[0]
        step = segment.ramp_c_per_minute * seconds / SECONDS_PER_MINUTE
        self.setpoint_c = _towards(segment.temperature_c, self.setpoint_c, step)
        if abs(temperature_c - segment.temperature_c) <= REACHED_WITHIN_C:
            self._hold(segment, seconds)
        return self.setpoint_c

    def _hold(self, segment: Segment, seconds: float) -> None:
        self._held_seconds += seconds
        if self._held_seconds > segment.hold_minutes * SECONDS_PER_MINUTE:
            self.segments = self.segments[1:]
            self._held_seconds = 0.0


def _towards(target: float, value: float, step: float) -> float:
    return min(target, value + step) if target > value else max(target, value - step)
