"""How much of some long work is done, where each of its parts finds out for itself how much it has to do."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is, as far as is known."""


class Steps:
    """Adds the parts up, and tells ``progress``, if there is one."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = self._total = 0

    def expect(self, count: int) -> None:
        """There are so many steps more."""
        self._total += count

    def take(self, count: int = 1) -> None:
        """So many of them are done."""
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

    def part(self) -> Progress:
        """For a part that counts its own steps."""
        done, total = self._done, self._total

        def told(part_done: int, part_total: int) -> None:
            self._total = total + part_total
            self.take(done + part_done - self._done)

        return told
