"""The arm that carries samples."""

from .simulated import SimulatedDevice

TRAVEL_SECONDS = 20.0


class RobotArm(SimulatedDevice):
    """Carries one sample at a time between any two places."""

    def __init__(self, name: str, speed_up: float = 1.0) -> None:
        super().__init__(name, "six-axis arm with a crucible gripper", speed_up)

    def move(self, source: str | None, destination: str | None) -> None:
        """Carry a sample from one place to another; None is the hatch to the outside."""
        self.set_message(f"{source or 'hatch'} to {destination or 'hatch'}")
        self.work(TRAVEL_SECONDS)
        self.set_message("")
