"""What the simulated devices have in common."""

from threading import Event, Lock

from lab import BaseDevice, SamplePosition


class SimulatedDevice(BaseDevice):
    """A device that takes its time but has no hardware.

    ``speed_up`` is how many simulated seconds pass in a real one.
    """

    def __init__(self, name: str, description: str = "", speed_up: float = 1.0) -> None:
        super().__init__(name, description)
        self.speed_up = speed_up
        self._connected = False
        self._job = Lock()
        self._stopped = Event()

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """No places for samples."""
        return []

    def connect(self) -> None:
        """Accept commands, also after an emergency stop."""
        self._stopped.clear()
        self._connected = True

    def disconnect(self) -> None:
        """Accept no more commands."""
        self._connected = False

    def is_running(self) -> bool:
        """Tell whether a command is being carried out."""
        return self._job.locked()

    def emergency_stop(self) -> None:
        """End the command that is being carried out; it raises. Connect again to go on."""
        self._stopped.set()
        self.set_message("stopped in an emergency")

    def require_connection(self) -> None:
        """Raise unless the device is connected and was not stopped in an emergency since."""
        if not self._connected:
            raise ConnectionError(f"{self.name} is not connected: call connect() first")
        if self._stopped.is_set():
            raise RuntimeError(f"{self.name} was stopped in an emergency: look at it, then connect it again")

    def work(self, seconds: float) -> None:
        """Be busy for simulated seconds, one command at a time."""
        self.require_connection()
        with self._job:
            self._stopped.wait(seconds / self.speed_up)
            self.require_connection()
