"""Run functions of frozen versions side by side, for tests and notebooks that compare them."""

from __future__ import annotations

import atexit
import itertools
import secrets
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from hotswap import drift, wire
from hotswap._plain import Plain, to_plain
from hotswap.errors import NotPlainError, ProcessError, RemoteError
from hotswap.fleet import Fleet, Limits, Started
from hotswap.snapshot import SHORT
from hotswap.store import Store

_ENTRY: Final = "hotswap.process.calls:main"
_GRACE_SECONDS: Final = 5.0
_numbers = itertools.count(1)


class Version:
    """A version process of one snapshot; ends with ``close``, as a context manager, or with the interpreter.

    Should the process die, the next ``run`` starts another one.
    """

    def __init__(self, snapshot: str, fleet: Fleet, secret: str) -> None:
        self.snapshot = snapshot
        self._fleet = fleet
        self._secret = secret
        self._name = f"version-{snapshot[:SHORT]}-{next(_numbers)}"
        self._closed = False
        self._started()

    def run(self, function: str, /, *arguments: Any, **keywords: Any) -> Plain:
        """Call ``module:function`` in this version; arguments and result are plain data. Callable from several threads.

        Tuples arrive as lists. Raises RemoteError with the kind and text of what the function raised, its ``detail``
        holding the ``traceback`` as text; NotPlainError, naming the type, when an argument or the result is more than
        plain data; and ProcessError when the process dies meanwhile.
        """
        call = {
            "function": function,
            "arguments": to_plain(arguments, f"What {function} is given"),
            "keywords": to_plain(keywords, f"What {function} is given"),
        }
        answer = self._ask(call)
        if "raised" in answer:
            raise self._raised(**answer["raised"])
        return answer["value"]

    def close(self) -> None:
        """End the process, and, if no other one of the same snapshot is open, what it was forked from."""
        self._closed = True
        self._fleet.stop(self._name, _GRACE_SECONDS)
        running = [each["snapshot"] for each in self._fleet.processes() if each["kind"] == "process"]
        if self.snapshot not in running:
            self._fleet.release(self.snapshot)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Version {self.snapshot[:SHORT]}>"

    def _started(self) -> Started:
        if self._closed:
            raise ProcessError(f"Version {self.snapshot[:SHORT]} was closed: open it again.")
        return self._fleet.ensure(self._name, self.snapshot, _ENTRY, {}, timeout=0)

    def _ask(self, call: dict[str, Any]) -> dict[str, Any]:
        started = self._started()
        try:
            with wire.Client(started.address, self._secret) as client:
                answer: dict[str, Any] = client.call("run", **call)
                return answer
        except RemoteError as error:
            if error.kind == NotPlainError.__name__:
                raise NotPlainError(str(error)) from None
            raise
        except OSError as error:
            started.identity.wait(_GRACE_SECONDS)  # its sockets close before it is gone
            raise ProcessError(
                f"The process of version {self.snapshot[:SHORT]} died while it ran {call['function']}: "
                "look for native code, os._exit, or too little memory."
            ) from error

    def _raised(self, kind: str, message: str, traceback: str) -> RemoteError:
        error = RemoteError(message, kind, {"traceback": traceback})
        error.add_note(f"In version {self.snapshot[:SHORT]}:\n{traceback}")
        return error


def open(  # noqa: A001 - reads as hotswap.open
    name: str,
    store: Path | str = "snapshots",
    *,
    strict: bool = False,
    memory_mb: int | None = None,
    import_seconds: float = Limits.seconds,
    import_memory_mb: int = Limits.memory_mb,
) -> Version:
    """Start a process of the snapshot with this id, or unambiguous start of one, in ``store``.

    All that are opened with the same limits may use ``memory_mb`` together (MB of 2^20 bytes), and each may take
    ``import_seconds``, and ``import_memory_mb`` of address space, to import.

    Where other distributions are installed than it was frozen with, ``EnvironmentWarning`` names them; ``strict``,
    that is an error. Raises UnknownSnapshotError, DamagedError, DescribeError when the snapshot does not import,
    NoRoomError when others have to be closed first, and DriftError when it was frozen for another Python.
    """
    limits = Limits(import_seconds, import_memory_mb)
    fleet, secret, known = _fleet_for(Path(store).absolute(), limits, memory_mb)
    snapshot = known.open(name)
    if changes := drift.check(known, snapshot, strict=strict):
        warnings.warn(drift.sentence(snapshot.id, changes), drift.EnvironmentWarning, stacklevel=2)
    return Version(snapshot.id, fleet, secret)


@cache
def _fleet_for(root: Path, limits: Limits, memory_mb: int | None) -> tuple[Fleet, str, Store]:
    """One zygote for each store, and limits, and this interpreter, ended with it."""
    store = Store(root)
    secret = secrets.token_hex(32)
    run_dir = Path(tempfile.mkdtemp(prefix="hotswap-"))
    fleet = Fleet(store, run_dir, secret, limits=limits, memory_mb=memory_mb)

    def end() -> None:
        fleet.close(end=True, grace=_GRACE_SECONDS)
        shutil.rmtree(run_dir, ignore_errors=True)

    atexit.register(end)
    return fleet, secret, store
