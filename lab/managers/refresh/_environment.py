"""Policy on the environment: one at a time, until versions with different ones run side by side."""

from __future__ import annotations

from hotswap.generations import Generations
from lab.managers.environment import Changes, Drift
from lab.managers.refresh._policy import PolicyError
from lab.records import Records


class EnvironmentPolicy:
    """Code goes live in the environment of what is current; in another one only at a launch."""

    def __init__(self, records: Records, changed: Drift) -> None:
        self._generations = Generations(records.database)
        self._changed = changed
        self._launched: int | None = None

    def launch(self) -> bool:
        """Whether current code was frozen with other distributions than are installed now, at a launch.

        Any code may then follow it: what was at work with the old environment has ended, or goes on as it is.
        """
        current = self._generations.current()
        self._launched = current.number if current is not None and self._changed(current.snapshot) else None
        return self._launched is not None

    def check(self) -> None:
        """Raises PolicyError while other distributions are installed than current code was frozen with."""
        current = self._generations.current()
        if current is None or current.number == self._launched:
            return
        if changes := self._changed(current.snapshot):
            raise PolicyError(
                f"The environment has changed under generation {current.number} ({_named(changes)}), and versions with "
                "different environments do not run side by side: install what was there before, or have the change "
                "taken up with `lab stop` and `lab launch`."
            )

    def check_known(self, snapshot: str) -> None:
        """Raises PolicyError where a snapshot that was live before was frozen with other distributions."""
        if changes := self._changed(snapshot):
            raise PolicyError(
                f"Code version {snapshot[:12]} was frozen with other distributions than are installed now "
                f"({_named(changes)}): install those again, or take its files live with what is installed, by "
                f"`lab refresh version:{snapshot[:12]}`."
            )


def _named(changes: Changes) -> str:
    return ", ".join(map(str, changes))
