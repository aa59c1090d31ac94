"""What a laboratory that runs has found wrong by itself: devices in error, workers without a sign of life."""

from __future__ import annotations

from lab.doctor._report import Report
from lab.managers.leases import unreachable
from lab.records import DeviceState, Records


def check_trouble(report: Report, records: Records) -> None:
    for device in records.devices.find({"state": DeviceState.ERROR}, sort=[("_id", 1)]):
        name, said = device["_id"], (device["error"] or "it did not tell why").splitlines()[0]
        mend = f"repair it; it is tried again by itself unless it is paused, and at once by `lab release {name}`"
        report.find("devices", f"{name} is in error: {said}", mend)
    for worker, since in unreachable(records).items():
        what = f"{worker} gives no sign of life since {since:%Y-%m-%d %H:%M:%S} UTC"
        report.find("workers", what, "its tasks are left to it as long as its process is there; `lab cancel` ends them")
