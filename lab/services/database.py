"""The embedded database: ``secantusd-py``, a MongoDB-wire server over WiredTiger, run as a program of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hotswap.files import write_private
from lab.services.service import LOOPBACK, Endpoint, Service, ServiceError, start


def start_database(state_dir: Path, *, same_port: bool = False) -> Service:
    """Start (or adopt) the database whose data are in ``state_dir/db``; acknowledged writes survive a crash.

    Raises ServiceError when it is not installed or does not come up, with ``same_port`` also when its port is taken.
    """
    program = _program()

    def prepare(endpoint: Endpoint) -> tuple[Sequence[str], str]:
        address = f"mongodb://{LOOPBACK}:{endpoint.port}"
        # This server does not remember across its death which writes it has done. The client must not repeat one
        # then: the answer of the second says that nothing was changed.
        return _command(program, state_dir, endpoint.port), f"{address}/?journal=true&retryWrites=false"

    return start(state_dir, "database", prepare, same_port=same_port)


def _program() -> Path:
    program = Path(sys.executable).parent / "secantusd-py"
    if not program.exists():
        raise ServiceError(
            f"The embedded database is not installed beside {sys.executable}; "
            "run `pip install 'hotswap-lab[embedded]'`, or name a MongoDB server in lab.toml."
        )
    return program


def _command(program: Path, state_dir: Path, port: int) -> list[str]:
    config = state_dir / "config" / "secantusd.toml"
    # Naming a file, even an empty one, keeps the server from picking up a stranger's configuration.
    write_private(config, "")
    data = state_dir / "db"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        str(program),
        f"--config={config}",
        f"--host={LOOPBACK}",
        f"--port={port}",
        f"--storage-path={data}",
        "--sync-on-commit",
        "--cache-size=64M",
        "--log-level=WARNING",
    ]
