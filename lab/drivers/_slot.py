"""One device inside its driver process: built, connected, granted to one task at a time, called."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.definitions import BaseDevice, Home, build_device
from lab.drivers._faults import CallFailed
from lab.drivers._maintenance import Maintenance
from lab.drivers._state import exported_state, imported_state, verified_state
from lab.drivers._turn import Turn
from lab.errors import DeviceError, FenceError
from lab.plain import to_plain
from lab.prompts import OK
from lab.records import Document, now

log = logging.getLogger(__name__)

_NOT_CALLABLE: Final = frozenset(
    {
        "check_health",
        "connect",
        "dict_in_database",
        "disconnect",
        "export_state",
        "import_state",
        "list_in_database",
        "retrieve_signal",
        "request_maintenance",
        "set_message",
        "verify_state",
    }
)
_AT_ONCE: Final = "emergency_stop"
_ACKNOWLEDGE: Final = 0.2


@dataclass(frozen=True)
class Call:
    """One method call, by the holder of ``fence``."""

    fence: int
    method: str
    args: list[Any]
    kwargs: dict[str, Any]
    task: str
    attempt: int


class Slot:
    """Guards one device. Calls to it take turns; fences and emergency stops never wait for them.

    ``on_call`` is told of each call that was executed, ``on_message`` of each message the device sets;
    ``maintenance`` asks people for it; ``home`` is what the laboratory does for the device.
    """

    def __init__(
        self,
        name: str,
        tree: Path,
        on_call: Callable[[Document], None],
        on_message: Callable[[str, str], None],
        maintenance: Maintenance,
        home: Home,
    ) -> None:
        self.name = name
        self._home = home
        self._tree = tree
        self._on_call = on_call
        self._on_message = on_message
        self._maintenance = maintenance
        self._device: BaseDevice | None = None
        self._open = False
        self._stopped = False
        self._stops = 0
        self._turn = Turn()
        self._state = threading.Lock()
        self._granted: int | None = None
        self._floor = 0
        self._busy = False
        self._calling: int | None = None

    @property
    def connected(self) -> bool:
        """Whether the device is there to be called; not yet while it is connecting."""
        return self._open

    @property
    def granted(self) -> bool:
        """Whether a task holds it."""
        return self._granted is not None

    @property
    def driver_class(self) -> type[BaseDevice] | None:
        """The class of the device that is there to be called."""
        device = self._device
        return type(device) if device is not None and self._open else None

    def look(
        self, use: Callable[[BaseDevice], None], when_free: Callable[[], None], *, during_calls: bool = False
    ) -> bool:
        """Have ``use`` look at the device, if it is connected, between two calls; ``during_calls`` at once.

        False when somebody else has or wants its turn: ``when_free`` is called when that is over.
        """
        if during_calls:
            self._show(use)
            return True
        with self._turn.spare(when_free) as ours:
            if ours:
                self._show(use)
            return ours

    def _show(self, use: Callable[[BaseDevice], None]) -> None:
        device = self._device
        if device is not None and self._open:
            use(device)

    def connect(self, stops: int | None = None) -> None:
        """Build the device and open its connection; nothing happens when it is open.

        ``stops`` is how many emergency stops the caller knows of. Raises DeviceError when there was another one
        since, CallFailed when the driver raised.
        """
        with self._turn:
            if self._open:
                return
            with self._failing_alone():
                device = build_device(self.name, self._home)
                self._listen(device)
            self._enter(device, stops)
            with self._failing_alone():
                device.connect()
            self._open = True
        log.info("Device %s is connected.", self.name)

    @contextmanager
    def _failing_alone(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # whatever a driver raises is told to who asked, and ends nothing here
            self._device = None
            raise CallFailed(error, self._tree) from error

    def _enter(self, device: BaseDevice, stops: int | None) -> None:
        """Known before it is connected: connecting may move hardware, which can be stopped then, too."""
        with self._state:
            if stops is not None and stops < self._stops:
                raise DeviceError(
                    f"Device {self.name} was stopped in an emergency, so it was not connected; "
                    f"`lab release {self.name}` connects it."
                )
            self._stopped = False
            self._device = device

    def disconnect(self) -> None:
        """Close the connection and forget the device, even when closing fails. Raises CallFailed."""
        self._maintenance.interrupt(self.name, "it is disconnected")
        with self._turn:
            if self._device is None:
                return
            self._open = False
            try:
                self._device.disconnect()
            except BaseException as error:  # as in connect: a driver must not end the process it shares with others
                raise CallFailed(error, self._tree) from error
            finally:
                self._device = None
        log.info("Device %s is disconnected.", self.name)

    def grant(self, fence: int) -> None:
        """From now on only calls with this fence are executed. Raises FenceError for one that was used up."""
        self._connected()
        with self._state:
            if fence != self._granted and fence <= self._floor:
                raise FenceError(f"Device {self.name} was already granted with a fence above {fence}.")
            self._granted = self._floor = fence

    def revoke(self, fence: int) -> None:
        """From now on no call with this fence or a lower one is executed.

        One under way is left to end, but does not wait for a person any more.
        """
        with self._state:
            self._floor = max(self._floor, fence)
            if self._granted is not None and self._granted <= fence:
                self._granted = None
        if (thread := self._calling) is not None:
            self._maintenance.interrupt(self.name, "it was taken from the task that called it", thread)

    def call(self, call: Call) -> Any:
        """Execute a method and return its result as plain data.

        Raises FenceError when the fence is not the granted one, DeviceError when the device was stopped in an
        emergency and not connected anew since, CallFailed when the method raised.
        """
        self._check(call)
        if call.method == _AT_ONCE:
            return self._execute(call)
        with self._turn:
            self._check(call)  # it may have been revoked while the call waited for its turn
            self._busy, self._calling = True, threading.get_ident()
            try:
                return self._execute(call)
            finally:
                self._busy, self._calling = False, None

    def export_state(self) -> Any:
        """What the next driver has to know, plain and small; None for nothing. Raises DeviceError, CallFailed."""
        with self._turn:
            return exported_state(self._connected(), self._tree)

    def import_state(self, state: Any) -> None:
        """Have the device take over what the driver before exported. Raises DeviceError, CallFailed."""
        with self._turn:
            self._refuse_stopped("import_state")
            imported_state(self._connected(), state, self._tree)

    def verify_state(self, state: Any) -> None:
        """Have the device read back what it took over. Raises DeviceError when it differs, CallFailed."""
        with self._turn:
            self._refuse_stopped("verify_state")
            verified_state(self._connected(), state, self._tree)

    def emergency_stop(self, stops: int = 0) -> bool:
        """Stop the device at once, whatever it is doing; whether that is done already or still going on.

        From now on no call is executed, until the device is disconnected and connected again, by somebody who knows
        of this stop: the one with the number ``stops``.

        Raises DeviceError when it is neither connected nor connecting, CallFailed when the driver's method raised.
        """
        with self._state:
            self._stops = max(self._stops, stops)
            device = self._device
            if device is None:
                raise self._absent()
            self._stopped = True
        stopping = _Stopping(device)
        stopping.start()
        stopping.join(_ACKNOWLEDGE)
        self._maintenance.interrupt(self.name, "it was stopped in an emergency")
        if stopping.error is not None:
            raise CallFailed(stopping.error, self._tree) from stopping.error
        return not stopping.is_alive()

    def status(self) -> Document:
        device = self._device
        return {
            "connected": self._open,
            "present": device is not None,
            "running": device is not None and self._open and (self._busy or self._is_running(device)),
            "stopped": self._stopped,
            "fence": self._granted,
            "message": "" if device is None else device.message,
        }

    def _is_running(self, device: BaseDevice) -> bool:
        try:
            return bool(device.is_running())
        except Exception:  # a faulty is_running must not bar the way for the driver that corrects it
            log.exception("is_running() of %s raised; it counts as not running.", self.name)
            return False

    def _connected(self) -> BaseDevice:
        device = self._device
        if device is None or not self._open:
            raise self._absent()
        return device

    def _absent(self) -> DeviceError:
        return DeviceError(f"Device {self.name} is not connected; see its error on the dashboard.")

    def _check(self, call: Call) -> None:
        if call.fence != self._granted:
            raise FenceError(
                f"{self.name}.{call.method} was refused: the device is not granted to task {call.task} any more; "
                "call devices only inside the `with` block that requested them."
            )
        if call.method != _AT_ONCE:
            self._refuse_stopped(call.method)

    def _refuse_stopped(self, method: str) -> None:
        if self._stopped:
            raise DeviceError(
                f"{self.name}.{method} was refused: the device was stopped in an emergency; "
                f"`lab release {self.name}` ends that."
            )

    def _listen(self, device: BaseDevice) -> None:
        """Hear of messages and prompts as they come, also of those of threads of the driver."""
        set_message = device.set_message

        def heard(message: str) -> None:
            set_message(message)
            self._on_message(self.name, device.message)

        device.__dict__["set_message"] = heard
        device.__dict__["request_maintenance"] = self._ask

    def _ask(self, prompt: str, options: Sequence[str] = OK) -> str:
        return self._maintenance.ask(self.name, prompt, options, lambda: self._refuse_stopped("request_maintenance"))

    def _execute(self, call: Call) -> Any:
        started, error = time.monotonic(), ""
        entry = {"at": now(), "device": self.name, "method": call.method, "fence": call.fence}
        try:
            method = _public_method(self._connected(), call.method)
            return to_plain(method(*call.args, **call.kwargs), f"The result of {self.name}.{call.method}")
        except BaseException as raised:  # whatever a driver raises is the caller's to handle, not this process's
            error = f"{type(raised).__name__}: {raised}"
            raise CallFailed(raised, self._tree) from raised
        finally:
            told = {"task": call.task, "attempt": call.attempt, "ok": not error, "error": error or None}
            self._on_call({**entry, **told, "seconds": time.monotonic() - started})


class _Stopping(threading.Thread):
    """An emergency stop under way; the answer to who asked for it must not take as long as it does."""

    def __init__(self, device: BaseDevice) -> None:
        super().__init__(name=f"emergency-stop-{device.name}", daemon=True)
        self._device = device
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._device.emergency_stop()
        except BaseException as error:  # told to who asked if they still wait, and in any case here
            log.exception("The emergency stop of %s raised.", self._device.name)
            self.error = error


def _public_method(device: BaseDevice, name: str) -> Callable[..., Any]:
    what = f"{type(device).__name__}.{name}"
    if name.startswith("_") or name in _NOT_CALLABLE:
        raise AttributeError(f"{what} is not for tasks to call.")
    found = inspect.getattr_static(device, name, None)
    if found is None:
        raise AttributeError(f"{what} does not exist; the driver has no such method.")
    method = None if isinstance(found, property) else getattr(device, name)
    if callable(method):
        return method  # type: ignore[no-any-return]  # a callable is all that is known of it
    raise AttributeError(f"{what} is a value, and tasks can only call methods; give the driver one that returns it.")
