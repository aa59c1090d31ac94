"""Heating samples in a furnace."""

from dataclasses import asdict
from typing import Any

from ..devices import Furnace
from ..ramps import heat_and_cool
from ..transfers import transfer_all
from .sample_task import SampleTask

POLL_SECONDS = 0.5
SLOTS = 4


class Heating(SampleTask):
    """Heat up to four samples together, hold them, let them cool, and put them on the table.

    Temperatures are in degrees Celsius, ``minutes`` is the time at temperature.
    """

    def __init__(self, temperature_c: float, minutes: float = 60.0, ramp_c_per_minute: float = 20.0) -> None:
        self.temperature_c = temperature_c
        self.minutes = minutes
        self.ramp_c_per_minute = ramp_c_per_minute

    def validate(self) -> bool:
        """Refuse more samples than a furnace holds, and times that make no sense."""
        if len(self.samples) > SLOTS:
            raise ValueError(f"a furnace holds {SLOTS} samples, not {len(self.samples)}: use several Heating tasks")
        if self.minutes < 0:
            raise ValueError(f"minutes must not be negative, it is {self.minutes:g}")
        return super().validate()

    def run(self) -> dict[str, Any]:
        """Return the furnace, its peak temperature and the energy it used."""
        with self.lab_view.request_resources({Furnace: {"slot": len(self.samples)}}) as (devices, places):
            furnace = devices[Furnace]
            self.set_message("loading")
            transfer_all(self.lab_view, self.samples, places[Furnace]["slot"])
            self._heat(furnace)
            self._unload()
            return {
                "furnace": furnace.name,
                "peak_temperature_c": furnace.peak_temperature(),
                "energy_kwh": furnace.energy(),
            }

    def _heat(self, furnace: Any) -> None:
        self.set_message(f"heating to {self.temperature_c:g} °C")
        program = heat_and_cool(self.temperature_c, self.minutes, self.ramp_c_per_minute)
        furnace.run_program([asdict(segment) for segment in program])
        try:
            while furnace.is_running():
                self.lab_view.sleep(POLL_SECONDS)
        finally:
            # Also when the task is cancelled: nobody else would switch the heater off.
            furnace.stop()

    def _unload(self) -> None:
        self.set_message("unloading")
        with self.lab_view.request_resources({None: {"table": len(self.samples)}}) as (_, places):
            transfer_all(self.lab_view, self.samples, places[None]["table"])
