"""The processes that a fleet was told to have, each started on a thread of its own, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from hotswap.errors import HotswapError, ProcessError
from hotswap.fleet._started import Started, Wanted

Ensure = Callable[[Wanted, Callable[[], None]], Started]
Drain = Callable[[str, str], None]

log = logging.getLogger(__name__)


class _Member(threading.Thread):
    """Starts one, and drains it again if it is ``outdated`` by then.

    ``settled`` is set once it serves, has failed, or waits for memory.
    """

    def __init__(self, wanted: Wanted, ensure: Ensure, drain: Drain) -> None:
        super().__init__(name=f"fleet {wanted.name}", daemon=True)
        self.wanted = wanted
        self.settled = threading.Event()
        self.found: Started | None = None
        self.error = ""
        self.outdated = False
        self._ensure = ensure
        self._drain = drain

    def run(self) -> None:
        try:
            self.found = self._ensure(self.wanted, self.settled.set)
            if self.outdated:
                self._drain(self.wanted.name, self.found.instance)
        except (HotswapError, OSError) as error:
            self.error = str(error)
            if self.settled.is_set():  # nobody looks any more
                log.warning("%s", error)
        self.settled.set()


class Members:
    """``ensure`` starts one, and calls what it is given if that has to wait for memory; ``drain`` ends an instance."""

    def __init__(self, ensure: Ensure, drain: Drain) -> None:
        self._ensure = ensure
        self._drain = drain
        self._members: dict[str, _Member] = {}

    def give_up(self, wanted: Iterable[Wanted]) -> list[str]:
        """Want only these any more. The names of the others that are being started."""
        kept = list(wanted)
        others = [one for one in self._members.values() if one.is_alive() and one.wanted not in kept]
        for one in others:
            one.outdated = True
        return [one.wanted.name for one in others]

    def start(self, wanted: Iterable[Wanted]) -> dict[str, Started]:
        """Those that serve, once all do, have failed, or wait for memory; these will start in their turn.

        Raises ProcessError that tells of all that failed.
        """
        self._members = {each.name: self._member(each) for each in wanted}
        for member in self._members.values():
            member.settled.wait()
        errors = [member.error for member in self._members.values() if member.error]
        if errors:
            raise ProcessError(" ".join(errors))
        return {name: member.found for name, member in self._members.items() if member.found is not None}

    def _member(self, wanted: Wanted) -> _Member:
        before = self._members.get(wanted.name)
        if before is not None and before.is_alive() and before.wanted == wanted:
            return before
        member = _Member(wanted, self._ensure, self._drain)
        member.start()
        return member
