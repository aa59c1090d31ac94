"""Who gets alarms in tests: a mail server and a web server on loopback, with what has reached them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

_PROGRAM = Path(__file__).with_name("mailbox.py")
_PATIENCE_SECONDS = 30.0


class Mailbox:
    """``login`` is the user and password that have to be given, if any."""

    def __init__(self, *login: str) -> None:
        command = [sys.executable, str(_PROGRAM), *login]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self._output = self._process.stdout
        self.port = int(self._output.readline())

    def next(self) -> dict[str, Any]:
        """The next message: ``to`` and ``text``."""
        message: dict[str, Any] = json.loads(self._output.readline())
        return message

    def close(self) -> None:
        self._process.kill()
        self._output.close()
        self._process.wait()


class Hook:
    """Keeps what is posted to it, and refuses what is posted to ``/refuse``."""

    def __init__(self) -> None:
        posted: queue.Queue[tuple[str, Any]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted.put((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(404 if self.path.startswith("/refuse") else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._posted = posted
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def next(self) -> tuple[str, Any]:
        """The path and the body of the next message."""
        return self._posted.get(timeout=_PATIENCE_SECONDS)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
