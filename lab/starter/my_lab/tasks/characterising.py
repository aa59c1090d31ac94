"""Characterising samples by X-ray diffraction."""

from typing import Any

from ..devices import Diffractometer
from ..transfers import transfer
from .sample_task import SampleTask


class Characterising(SampleTask):
    """Scan each sample between two angles (two-theta in degrees) and put it on the table."""

    def __init__(self, start: float = 20.0, end: float = 80.0) -> None:
        self.start = start
        self.end = end

    def validate(self) -> bool:
        """Refuse a range that is empty or runs backwards."""
        if not self.start < self.end:
            raise ValueError(f"start must be below end, it is {self.start:g} and end is {self.end:g}")
        return super().validate()

    def run(self) -> dict[str, Any]:
        """Return the peaks and the phases found, by sample."""
        with self.lab_view.request_resources({Diffractometer: {"stage": 1}, None: {"table": len(self.samples)}}) as (
            devices,
            places,
        ):
            (stage,) = places[Diffractometer]["stage"]
            found = {}
            for sample, place in zip(self.samples, places[None]["table"], strict=True):
                self.set_message(f"scanning {sample}")
                transfer(self.lab_view, sample, stage)
                found[sample] = _summary(devices[Diffractometer].scan(self.start, self.end))
                transfer(self.lab_view, sample, place)
                self.lab_view.update_result(sample, found[sample])
        return found


def _summary(peaks: list[dict[str, Any]]) -> dict[str, Any]:
    return {"peaks": peaks, "phases": sorted({peak["phase"] for peak in peaks if peak["phase"]})}
