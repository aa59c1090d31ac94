"""What can go wrong for a running task; lab authors may catch these by name."""

from __future__ import annotations

from hotswap.errors import HotswapError


class DeviceError(HotswapError):
    """A device could not do what a task asked, and no more precise class is known to the task."""


class FenceError(DeviceError):
    """A call was refused because the device is not, or no longer, granted to the caller."""


class OutcomeUnknown(DeviceError):  # noqa: N818 - it states a fact; the call may well have succeeded
    """The driver process died during a call: nobody knows whether it took effect, and it is not repeated."""


class DriverRestarted(DeviceError):  # noqa: N818 - it states a fact, which a task may be able to live with
    """The driver process died between two calls and was started again: what the driver knew is gone.

    Raised once, by the next call, which was not executed; later calls reach the new process.
    """


class ResourceError(HotswapError):
    """A request for devices and places was refused."""


class ResourceTimeout(ResourceError, TimeoutError):  # noqa: N818 - a kind of TimeoutError, as its base says
    """What was requested did not become free in time."""


class SampleError(HotswapError):
    """A sample is unknown, or cannot be where it is said to be."""


class TaskCancelled(BaseException):
    """Somebody cancelled the task.

    Not an ``Exception``, so that a task which catches those does not take it for a fault of a device. It is raised
    once; what a task does in its clean-up afterwards is not interrupted again.
    """
