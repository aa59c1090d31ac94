"""Whether this process simulates its hardware."""

from __future__ import annotations


class _Switch:
    # A lab is simulated until somebody turns it off on purpose.
    on = True


def in_simulation() -> bool:
    """Tell whether this process simulates its hardware."""
    return _Switch.on


def set_simulation(on: bool) -> None:
    """Choose, for the whole process, whether methods marked with `mock` pretend."""
    _Switch.on = on
