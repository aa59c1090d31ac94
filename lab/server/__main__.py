"""``python -m lab.server``: the managers process. Reads its settings from standard input, one JSON document."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Final

import uvicorn
from pymongo.database import Database
from starlette.applications import Starlette

from hotswap.errors import HotswapError
from hotswap.files import write_private
from hotswap.process import Identity
from lab.migrations import migrate
from lab.records import Document
from lab.server.alone import alone
from lab.server.assembly import Assembly
from lab.server.settings import Settings
from lab.services.connection import connect

_GRACE_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn without its ten wake-ups a second, ended by a signal or by ``end``."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                ws="none",
            )
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._ended.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal again at its end, which kills the process before the managers are stopped.
        del sig, frame
        self.end()

    def end(self) -> None:
        """Finish the open requests and return; callable from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)


def main() -> None:
    """Run until a signal, or until another managers process takes over; exit code 2 for unusable settings."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(Settings.model_validate_json(sys.stdin.read()))
    except HotswapError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is meant for a person, a traceback would bury it
        sys.exit(2)


def run(settings: Settings) -> None:
    """Start everything, serve, and stop everything in the opposite order."""
    listener = _listen(settings.config.server.host, settings.config.server.port)
    with (
        listener,
        connect(settings.mongo_uri, appname="managers") as client,
        Assembly(settings, _current(client[settings.database])) as assembly,
    ):
        server = Server(assembly.app)
        assembly.on_superseded(lambda: _end_soon(server))
        with alone(settings.config.general.state_dir / "run"):
            assembly.backend.start()
            try:
                _announce(settings, listener)
                server.run(sockets=[listener])
            finally:
                assembly.backend.stop()


def _current(database: Database[Document]) -> Database[Document]:
    """The database with its documents as this version reads them. Raises SchemaError."""
    migrate(database)
    return database


def _end_soon(server: Server) -> None:
    """Others wait for the end of this process, which whatever it is in the middle of must not put off."""
    server.end()
    last = threading.Timer(_GRACE_SECONDS, os._exit, [0])
    last.daemon = True
    last.start()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise HotswapError(
            f"The HTTP API cannot listen on {host}:{port} ({error.strerror}); stop what uses it, or set another "
            "port in lab.toml or with LAB_PORT, 0 for any."
        ) from error


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    record = {"identity": Identity.mine().to_dict(), "url": url}
    write_private(settings.config.general.state_dir / "run" / "managers.json", json.dumps(record))
    log.info("The HTTP API answers at %s", url)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    main()
