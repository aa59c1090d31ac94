"""A small HTTP server in the place of a laboratory, which answers as told; and the command line that asks it."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from lab.cli import main


class FakeLab:
    """``answers`` maps "METHOD path" to (status, body); ``seen`` keeps what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.seen: list[tuple[str, Any, str | None]] = []
        lab = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                call = f"{self.command} {self.path}"
                lab.seen.append((call, body, self.headers["Authorization"]))
                status, answer = lab.answers.get(call, (404, {"error": f"There is no {self.path}."}))
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def lab(folder: Path, *arguments: str, stdin: str = "") -> Result:
    environment = {"COLUMNS": "200"} | {name: "" for name in os.environ if name.startswith("LAB_")}
    return CliRunner().invoke(main, [*arguments, "--config", str(folder)], input=stdin, env=environment)
