"""One laboratory, used as its people use it: commands, commits and submissions; looked at through its database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from hotswap.generations import Generations
from hotswap.process import Identity
from lab.catalog import Catalog
from lab.client import LabClient
from lab.demo.claims import StoryError
from lab.demo.processes import Process, belonging_to, end_all
from lab.demo.repository import GIT_ENVIRONMENT, Repository
from lab.records import Document, Records
from lab.services.service import adopt
from lab.settings.config import load

_COMMAND_SECONDS: Final = 90.0
_DATABASE_MS: Final = 5000


class Laboratory:
    """A lab in ``<root>/lab`` with its state in ``<root>/state``; it takes each commit live by itself."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "lab"
        self.state = root / "state"
        self._environment = {"LAB_STATE_DIR": str(self.state), "LAB_PORT": "0"}
        self._mongo: MongoClient[Document] | None = None
        self.repository = Repository(self.folder)

    def create(self) -> None:
        self.command("init", str(self.folder), "--auto-refresh", at=self.folder.parent)

    def launch(self) -> None:
        """Start everything in the background, and open the database."""
        self.command("launch", "--detach")
        service = adopt(self.state, "database")
        if service is None:
            raise StoryError(f"The database does not run after the launch; see {self.state}/logs.")
        self._mongo = MongoClient(service.url, tz_aware=True, serverSelectionTimeoutMS=_DATABASE_MS)
        database = self._mongo[load(self.folder, self._environment).database]
        self.records = Records(database)
        self.generations = Generations(database)
        self.catalog = Catalog(self.records)

    def command(self, *arguments: str, at: Path | None = None) -> str:
        """Run ``lab ...`` as a program; returns what it prints. Raises StoryError with its own words when it fails."""
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "lab.cli", *arguments],
            cwd=at or self.folder,
            env={**os.environ, **GIT_ENVIRONMENT, **self._environment},
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if ran.returncode:
            raise StoryError(f"`lab {' '.join(arguments)}` failed: {ran.stderr.strip()}")
        return ran.stdout.strip()

    def ask(self, *arguments: str) -> Any:
        """Run ``lab ... --json``; returns the facts."""
        return json.loads(self.command(*arguments, "--json"))

    def submit(self, experiment: Mapping[str, Any]) -> str:
        """Submit over HTTP; returns the id of the experiment. Raises ClientError when it is refused."""
        token = (self.state / "token").read_text().strip()
        return LabClient(self._managers_record()["url"], token, actor="demo").submit(dict(experiment))

    def managers(self) -> Identity | None:
        """The managers process, if it runs and answers."""
        try:
            identity = Identity.from_dict(self._managers_record()["identity"])
        except FileNotFoundError:
            return None
        return identity if identity.alive() else None

    def processes(self) -> list[Process]:
        return belonging_to(self.state)

    def stop(self) -> None:
        """Stop the lab as its people do; nothing can be read any more. Raises StoryError when tasks are at work."""
        self._close_database()
        self.command("stop")

    def clear_away(self) -> list[Process]:
        """Leave nothing running, however things stand; returns what a stop had left over."""
        self._close_database()
        return end_all(self.state)

    def _close_database(self) -> None:
        # Closing takes leave of the server, which has to be there to hear it.
        if self._mongo is not None:
            self._mongo.close()
            self._mongo = None

    def _managers_record(self) -> Document:
        record: Document = json.loads((self.state / "run" / "managers.json").read_text())
        return record
