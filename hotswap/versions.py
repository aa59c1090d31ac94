"""Run functions of frozen versions side by side, for tests and notebooks that compare them."""

from __future__ import annotations

import atexit
import itertools
import secrets
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from hotswap import wire
from hotswap.fleet import Fleet
from hotswap.store import Store

_ENTRY: Final = "hotswap.process.calls:main"
_GRACE_SECONDS: Final = 5.0
_numbers = itertools.count(1)


class Version:
    """A version process of one snapshot; ends with ``close``, as a context manager, or with the interpreter."""

    def __init__(self, snapshot: str, fleet: Fleet, secret: str) -> None:
        self.snapshot = snapshot
        self._fleet = fleet
        self._name = f"version-{snapshot[:12]}-{next(_numbers)}"
        started = fleet.ensure(self._name, snapshot, _ENTRY, {})
        self._address = started.address
        self._secret = secret

    def run(self, function: str, /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``module:function`` in this version; arguments and result are plain data. Callable from several threads.

        Raises RemoteError with the kind and text of what the function raised.
        """
        with wire.Client(self._address, self._secret) as client:
            return client.call("run", function=function, arguments=list(arguments), keywords=keywords)

    def close(self) -> None:
        """End the process."""
        self._fleet.stop(self._name, _GRACE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open(name: str, store: Path | str = "snapshots") -> Version:  # noqa: A001 - reads as hotswap.open
    """Start a process of the snapshot with this id, or unambiguous start of one, in ``store``.

    Raises UnknownSnapshotError, DamagedError, or DescribeError when the snapshot does not import.
    """
    fleet, secret, known = _fleet_for(Path(store).absolute())
    return Version(known.resolve(name), fleet, secret)


@cache
def _fleet_for(root: Path) -> tuple[Fleet, str, Store]:
    """One zygote for each store and this interpreter, ended with it."""
    store = Store(root)
    secret = secrets.token_hex(32)
    run_dir = Path(tempfile.mkdtemp(prefix="hotswap-"))
    fleet = Fleet(store, run_dir, secret)

    def end() -> None:
        fleet.close(end=True, grace=_GRACE_SECONDS)
        shutil.rmtree(run_dir, ignore_errors=True)

    atexit.register(end)
    return fleet, secret, store
