"""Do what a tutorial says, in the order it says it, and hold what happens against what it shows.

A block ``file=NAME`` is written to that file, ``edit=NAME`` replaces its last line, ``find=NAME`` has to occur in it
once, and ``replace=NAME`` takes the place of what was found; ``console`` is run, and ``console fails`` has to fail. A
``text`` block has to come out of what ran last, or of the worker, which runs in the background: line by line, with any
time of day or duration in place of one; in a block ``text varies``, with any number in place of a number. Where
the last command only looks, it is repeated until it shows that, as a reader does. An id that the page shows stands for
one that appears there, always.
"""

from __future__ import annotations

import os
import queue
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PATIENCE_SECONDS = 20
_FOLDER = "/srv/counting"
_ID = re.compile(r"\b(?:[0-9a-f]{24}|[0-9a-f]{12}|[0-9a-f]{8})\b")
_LOOKS = ("lab status", "lab tasks", "lab devices", "lab versions")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_VARYING = re.compile(r"\b(?:\d\d:\d\d:\d\d|\d+(?:\.\d+)?s)\b")
_POLL_SECONDS = 0.02


class Block(NamedTuple):
    language: str
    attribute: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", page.read_text(), re.MULTILINE)
    return [Block(*each) for each in found]


class Reader:
    """Somebody who follows a tutorial in ``folder``."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        person = {"NAME": "Ada", "EMAIL": "ada@lab.org"}
        identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HOTSWAP_"))}
        self._environment = {**kept, **identity, "PATH": path, "COLUMNS": "200", **variables}
        self._given = variables
        self._ids: dict[str, str] = {}
        self._shown: list[str] = []
        self._look = ""
        self._found = ""
        self._worker: subprocess.Popen[str] | None = None
        self._told: queue.Queue[str] = queue.Queue()

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            name = block.attribute.partition("=")[2]
            if block.attribute.startswith("file="):
                self._write(self.folder / name, block.text)
            elif block.attribute.startswith("edit="):
                kept = (self.folder / name).read_text().splitlines(keepends=True)[:-1]
                self._write(self.folder / name, "".join(kept) + block.text)
            elif block.attribute.startswith("find="):
                assert (self.folder / name).read_text().count(block.text) == 1, f"{block.text!r} in {name}"
                self._found = block.text
            elif block.attribute.startswith("replace="):
                self._write(self.folder / name, (self.folder / name).read_text().replace(self._found, block.text))
            elif block.language == "console":
                self._run(block.text, fails=block.attribute == "fails")
            elif block.language == "text":
                self._see(block.text.splitlines(), _NUMBER if block.attribute == "varies" else _VARYING)

    def close(self) -> None:
        """End the worker as a person does, with Ctrl-C; it has to end well."""
        if self._worker is not None:
            self._worker.send_signal(2)
            assert self._worker.wait(PATIENCE_SECONDS) == 0

    def kill(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            self._worker.kill()
            self._worker.wait()

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _run(self, text: str, *, fails: bool) -> None:
        """Run the lines of a block; the shown output is that of the last block that was run."""
        for shown, real in self._ids.items():
            text = text.replace(shown, real)
        lines = [line for line in text.splitlines() if not self._is_given(line)]
        if lines == ["hotswap worker my_app"]:
            self._start_worker(lines[0])
            return
        for line in lines:
            if line.startswith("cat "):
                self._appears(self.folder / line.removeprefix("cat "))
        script = "\n".join([*lines, 'pwd > "$PLACE"'] if not fails else lines)
        place = self.folder.parent / "place"
        run = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env={**self._environment, "PLACE": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode != 0) == fails, run.stdout + run.stderr
        if not fails:
            self.folder = Path(place.read_text().strip())
        self._shown = (run.stdout + (run.stderr if fails else "")).splitlines()
        self._look = lines[-1] if lines and lines[-1] in _LOOKS else ""

    def _see(self, lines: list[str], varying: re.Pattern[str]) -> None:
        """All the lines that the page shows, but for what is ``varying``.

        Where the reader looks at what changes, they look again.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            known = dict(self._ids)
            try:
                for line in lines:
                    self._expect(line, varying)
            except AssertionError:
                if not self._look or time.monotonic() > deadline:
                    raise
                self._ids = known
                self._run(self._look, fails=False)
            else:
                return

    def _is_given(self, line: str) -> bool:
        """Whether the line exports what this reader has another value for."""
        words = shlex.split(line)
        return words[:1] == ["export"] and words[1].partition("=")[0] in self._given

    def _start_worker(self, command: str) -> None:
        worker = subprocess.Popen(
            command.split(), cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        self._worker = worker

        def read() -> None:
            assert worker.stdout is not None
            with worker.stdout as lines:
                for line in lines:
                    self._told.put(line.rstrip("\n"))

        threading.Thread(target=read, daemon=True).start()

    def _expect(self, line: str, varying: re.Pattern[str]) -> None:
        """A line that the page shows has been printed, or is printed soon."""
        passed = []
        for candidate in self._candidates():
            if self._matches(line, candidate, varying):
                return
            passed.append(candidate)
        raise AssertionError(f"the page shows {line!r}; there was {passed}")

    def _candidates(self) -> Iterator[str]:
        yield from self._shown
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._worker is not None and (left := deadline - time.monotonic()) > 0:
            try:
                yield self._told.get(timeout=left)
            except queue.Empty:
                return

    def _matches(self, shown: str, printed: str, varying: re.Pattern[str]) -> bool:
        """Whether ``printed`` has the shown line in it, but for blanks, what is varying, and what its ids stand for."""
        shown, printed = (" ".join(line.split()) for line in (shown, printed))
        parts = re.split(rf"({_ID.pattern})", shown.replace(_FOLDER, "FOLDER"))
        pattern = "".join(_pattern(part, varying) for part in parts)
        found = re.search(rf"(?<!\d){pattern}(?!\.?\d)", printed.replace(str(self.folder), "FOLDER"))
        if found is None:
            return False
        known = dict(self._ids)
        agree = all(
            known.setdefault(name, real) == real for name, real in zip(_ID.findall(shown), found.groups(), strict=True)
        )
        self._ids = known if agree else self._ids
        return agree

    def _appears(self, path: Path) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not path.exists():
            assert time.monotonic() < deadline, f"{path} does not appear"
            time.sleep(_POLL_SECONDS)


def _pattern(part: str, varying: re.Pattern[str]) -> str:
    if _ID.fullmatch(part):
        return f"({_ID.pattern})"
    return varying.pattern.join(map(re.escape, varying.split(part)))


@contextmanager
def reader(folder: Path, **variables: str) -> Iterator[Reader]:
    """A reader with a folder of their own; what they started is ended."""
    folder.mkdir(parents=True, exist_ok=True)
    person = Reader(folder, variables)
    try:
        yield person
        person.close()
    finally:
        person.kill()
