"""Moving samples with the robot arm."""

from lab import LabView

from .devices import RobotArm


def transfer(lab_view: LabView, sample: str, destination: str | None) -> None:
    """Carry a sample to a place (None: out of the laboratory), holding the arm no longer than that takes."""
    with lab_view.request_resources({RobotArm: {}}) as (devices, _):
        source = lab_view.get_sample(sample).position
        if source != destination:
            devices[RobotArm].move(source, destination)
            lab_view.move_sample(sample, destination)


def transfer_all(lab_view: LabView, samples: list[str], destinations: list[str]) -> None:
    """Carry each sample to the place of the same rank."""
    for sample, destination in zip(samples, destinations, strict=True):
        transfer(lab_view, sample, destination)
